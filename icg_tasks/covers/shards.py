"""A shard's place in the store: what generate-covers leaves and publish-covers collects. Whole or absent, like any partition.

Knows rows and keys; nothing of images. Legend: none.
"""

import hashlib
from collections.abc import Iterable
from datetime import date
from typing import Any

import pyarrow as pa

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.partitions import COVER_SHARDS
from icg_tasks.contracts.schemas import COVER_SHARD
from icg_tasks.lake.partitions import find_partition, read_partition, write_partition
from icg_tasks.lake.store import ObjectStore

Row = dict[str, Any]
PairKey = tuple[str, str, int]


def pair_key(row: Row) -> PairKey:
    """(segment, item, variant) of a row."""
    return row["segment_id"], row["item_id"], row["variant"]


def batch_order(row: Row) -> tuple[str, PairKey]:
    """Rows to make are drawn in this order, cut into batches from the first: items together, segments in order."""
    return row["item_id"], pair_key(row)


def shard_dataset(shard: int) -> str:
    """The data set of one shard number.

    >>> shard_dataset(3)
    'covers/shards/shard=003'
    """
    return f"{COVER_SHARDS}/shard={shard:03d}"


def requests_digest(rows: Iterable[Row]) -> str:
    """One hash of what is asked of a shard; rows in any order."""
    return hashlib.sha256("\n".join(sorted(row["request_hash"] for row in rows)).encode()).hexdigest()


def write_shard(store: ObjectStore, day: date, shard: int, rows: list[Row], planned: list[Row]) -> None:
    """Make a shard visible whole, in a fixed order of rows. Blobs must be in the store already."""
    table = pa.Table.from_pylist(sorted(rows, key=pair_key), schema=COVER_SHARD)
    write_partition(
        store, shard_dataset(shard), day, [table], schema=COVER_SHARD, metadata={"requests": requests_digest(planned)}
    )


def read_shard(store: ObjectStore, day: date, shard: int, planned: list[Row]) -> list[Row] | None:
    """The rows of a finished shard that answers exactly these planned rows, else None."""
    partition = find_partition(store, shard_dataset(shard), day)
    if partition is None or partition.metadata.get("requests") != requests_digest(planned):
        return None
    return list(read_partition(store, shard_dataset(shard), day).to_pylist())


def require_shard(store: ObjectStore, day: date, shard: int, planned: list[Row]) -> list[Row]:
    """Like read_shard, but raises DataMissing where it is not finished or answers another plan."""
    rows = read_shard(store, day, shard, planned)
    if rows is None:
        raise DataMissing(
            f"shard {shard} of {day} is not finished or was made for another plan; run: icg generate-covers --run-date {day} "
            f"--shard {shard}"
        )
    return rows
