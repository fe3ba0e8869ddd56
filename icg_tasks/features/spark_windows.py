"""Window sums and user vectors of a date, bucket by bucket: one bucket's files lie side by side, so nothing is shuffled.

A task reads its bucket's files of the days to add (and of those to take away), adds, and keeps the user vectors as one packed
table; when the vectors' mean length over everybody is known, it writes them scaled. Knows which files belong to which bucket
by their names; what is added stands in window_sums.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.schemas import USER_WINDOWS as WINDOW
from icg_tasks.contracts.schemas import USERS as USERS_SCHEMA
from icg_tasks.features.spaces import CONTENT, Space
from icg_tasks.features.spark_hash import bucket_of
from icg_tasks.features.spark_partitions import FILES, collect_files, finish_days, written_file
from icg_tasks.features.user_blocks import packed, unpacked
from icg_tasks.features.window_sums import BITS, Part, Scale, everybody, scaled_users, summed, unscaled_users
from icg_tasks.lake.partitions import Partition, PartitionFile, read_partition_file
from icg_tasks.lake.store import ObjectStore, open_store

_NUMBER = re.compile(r"/part-(\d{5})-[0-9a-f]+\.parquet$")
_PIECE_ROWS = 200_000
_VECTORS = pa.schema(
    [
        ("bucket", pa.int32()),
        ("users", pa.int64()),
        ("impressions", pa.int64()),
        ("clicks", pa.int64()),
        ("squared_norm", pa.int64()),
        ("vectors", pa.binary()),
        ("window", pa.string()),
    ]
)
_COLUMNS = ["user_id", "vector_sum", "weight", "impressions", "clicks"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """From a former window (None: from nothing) to the run date's: days to add and days to take away."""

    former: Partition | None
    added: Sequence[Partition]
    removed: Sequence[Partition]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Over all users: the factor that makes the mean squared length 1, and counts."""

    factor: float
    users: int
    impressions: int
    clicks: int


@dataclass(frozen=True, kw_only=True)
class _WindowTask:
    """Adds up one bucket. ``carries``: also writes the window's sums."""

    uri: str
    dataset: str
    run_date: date
    width: int
    num_buckets: int
    prior_weight: float
    scale: Scale
    carries: bool
    former: Mapping[int, PartitionFile]
    days: Sequence[tuple[date, int, Mapping[int, PartitionFile]]]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        store = open_store(self.uri)
        for batch in batches:
            for bucket in batch.column(0).to_pylist():
                yield from self._rows(store, bucket)

    def _rows(self, store: ObjectStore, bucket: int) -> Iterator[pa.RecordBatch]:
        window = self._window(store, bucket)
        written = ""
        if self.carries and len(window):
            written = json.dumps(written_file(store, self.dataset, self.run_date, bucket, window, WINDOW))
        for start in range(0, len(window), _PIECE_ROWS):
            piece = window.slice(start, _PIECE_ROWS)
            users, norm = unscaled_users(piece, self.width, self.scale, self.run_date, self.prior_weight)
            counts = [int(users[name].to_numpy().sum()) for name in ("impressions", "clicks")]
            block = packed(users.combine_chunks().to_batches()[0])
            row = [bucket, len(users), *counts, norm, block, written if start == 0 else ""]
            yield pa.RecordBatch.from_pylist([dict(zip(_VECTORS.names, row, strict=True))], schema=_VECTORS)

    def _window(self, store: ObjectStore, bucket: int) -> pa.Table:
        files = [(day, sign, found[bucket]) for day, sign, found in self.days if bucket in found]
        former = read_partition_file(store, self.former[bucket], WINDOW.names) if bucket in self.former else None
        names = [read_partition_file(store, file, ["user_id"])["user_id"] for _, _, file in files]
        users = everybody([*names, *([former["user_id"]] if former is not None else [])])
        if (bucket_of(users, self.num_buckets) != bucket).any():
            raise DataCorrupt(
                f"bucket {bucket} holds users of other buckets: the days were written with another number of buckets"
            )
        parts = (Part(day=day, table=read_partition_file(store, file, _COLUMNS), sign=sign) for day, sign, file in files)
        return summed(users, former, parts, self.width, self.scale)


def write_users(
    spark: SparkSession,
    store: ObjectStore,
    run_date: date,
    change: Change,
    *,
    scale: Scale,
    width: int,
    num_buckets: int,
    prior_weight: float,
    carried: Mapping[str, Any] | None,
    metadata: Mapping[str, Any],
    space: Space = CONTENT,
) -> tuple[Partition, Totals]:
    """Replace the space's users of the run date (features/users); with ``carried`` (its metadata) the window too."""
    task = _WindowTask(
        uri=store.uri,
        dataset=space.windows,
        run_date=run_date,
        width=width,
        num_buckets=num_buckets,
        prior_weight=prior_weight,
        scale=scale,
        carries=carried is not None,
        former=_by_bucket(change.former),
        days=[
            (part.run_date, sign, _by_bucket(part))
            for sign, parts in ((1, change.added), (-1, change.removed))
            for part in parts
        ],
    )
    vectors = spark.range(0, num_buckets, 1, num_buckets).mapInArrow(task, from_arrow_schema(_VECTORS))
    vectors = vectors.persist(StorageLevel.MEMORY_AND_DISK)
    totals = _totals(vectors)
    writer = partial(_write_scaled, uri=store.uri, dataset=space.users, run_date=run_date, width=width, factor=totals.factor)
    files = collect_files(vectors.select("bucket", "vectors").mapInArrow(writer, from_arrow_schema(FILES)))
    if carried is not None:
        _finish_window(store, space.windows, run_date, vectors, carried)
    vectors.unpersist()
    said = {run_date: {"scale": totals.factor, **metadata}}
    return finish_days(store, space.users, said, files, schema=USERS_SCHEMA)[run_date], totals


def _totals(vectors: DataFrame) -> Totals:
    names = ("users", "impressions", "clicks", "squared_norm")
    row = vectors.agg(*(sql.coalesce(sql.sum(name), sql.lit(0)).alias(name) for name in names)).first()
    found = row.asDict() if row is not None else dict.fromkeys(names, 0)
    mean_norm = found.pop("squared_norm") / 2.0**BITS / max(found["users"], 1)
    return Totals(factor=1.0 / math.sqrt(mean_norm) if mean_norm > 0 else 1.0, **found)


def _finish_window(store: ObjectStore, dataset: str, run_date: date, vectors: DataFrame, metadata: Mapping[str, Any]) -> None:
    rows = vectors.where("window <> ''").select("window").collect()
    said = sorted((json.loads(row["window"]) for row in rows), key=lambda file: str(file["key"]))
    files = [PartitionFile(key=file["key"], rows=file["rows"], size=file["size"], sha256=file["sha256"]) for file in said]
    finish_days(store, dataset, {run_date: metadata}, {run_date: files}, schema=WINDOW)


def _write_scaled(
    batches: Iterable[pa.RecordBatch], *, uri: str, dataset: str, run_date: date, width: int, factor: float
) -> Iterator[pa.RecordBatch]:
    pieces: dict[int, list[pa.Table]] = {}
    for batch in batches:
        for row in batch.to_pylist():
            pieces.setdefault(row["bucket"], []).append(scaled_users(unpacked(row["vectors"]), width, factor))
    store = open_store(uri)
    for bucket in sorted(pieces):
        table = pa.concat_tables(pieces.pop(bucket)).combine_chunks()
        yield pa.RecordBatch.from_pylist([written_file(store, dataset, run_date, bucket, table, USERS_SCHEMA)], schema=FILES)


def _by_bucket(part: Partition | None) -> dict[int, PartitionFile]:
    """A partition's files by the bucket in their names. Raises DataCorrupt for other names."""
    found: dict[int, PartitionFile] = {}
    for file in part.files if part is not None else []:
        match = _NUMBER.search(file.key)
        if match is None or int(match.group(1)) in found:
            raise DataCorrupt(f"{file.key}: expected one part-NNNNN file per bucket; re-run `icg build-user-embeddings`")
        if file.rows:
            found[int(match.group(1))] = file
    return found
