"""A day's covers as the plan asks for them: rows of finished shards, and rows kept from an earlier manifest.

Knows rows and keys; no image, no pointer.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.schemas import COVER_FEATURES, COVER_MANIFEST
from icg_tasks.covers.shards import pair_key, require_shard
from icg_tasks.lake.partitions import PartitionFile, find_partition, read_partition, read_partition_file
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

FEATURES_KEY = "features"
"""In a manifest's metadata: the files of its covers' vectors."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Collected:
    """Manifest rows, image vector of each cover id, and how many covers were rejected for which reason."""

    rows: list[Row]
    vectors: dict[str, list[float]]
    rejected: Counter[str]
    made: int
    versions: dict[str, str]  # of the models, as the plan names them


def collect(context: StageContext) -> Collected:
    """Rows of all shards of the plan, and kept rows; each exactly what the plan asks for. Raises DataMissing, DataCorrupt."""
    store, day = context.store, context.run_date
    plan = read_partition(store, keys.COVER_PLANS, day).to_pylist()
    if not plan:
        raise DataMissing(f"the plan of covers for {day} is empty; run icg plan-covers for that date again")
    partition = find_partition(store, keys.COVER_PLANS, day)
    metadata = partition.metadata if partition else {}
    by_shard: dict[int, list[Row]] = {}
    for row in plan:
        if row["shard"] is not None:
            by_shard.setdefault(row["shard"], []).append(row)
    rows, vectors = _kept(
        context, [row for row in plan if row["shard"] is None and row["kept_cover_id"] is not None], metadata.get("kept_from")
    )
    rejected: Counter[str] = Counter()
    made = 0
    for shard, planned in sorted(by_shard.items()):
        found = {pair_key(row): row for row in require_shard(store, day, shard, planned)}
        for wanted in planned:
            answer = found.get(pair_key(wanted))
            if answer is None or answer["request_hash"] != wanted["request_hash"]:
                raise DataCorrupt(
                    f"shard {shard} of {day} lacks {pair_key(wanted)}; run icg generate-covers --shard {shard} again"
                )
            if answer["rejected"] is not None:
                rejected[answer["rejected"]] += 1
                continue
            vectors[answer["cover_id"]] = answer["vector"]
            rows.append({name: answer[name] for name in COVER_MANIFEST.names})
            made += 1
    versions = dict(metadata.get("versions") or {})
    return Collected(rows=sorted(rows, key=pair_key), vectors=vectors, rejected=rejected, made=made, versions=versions)


def features_table(collected: Collected) -> pa.Table:
    """The vector of each cover (COVER_FEATURES), by cover id; of pairs that share a cover the first names the item."""
    item_of = {row["cover_id"]: row["item_id"] for row in reversed(collected.rows)}
    features = [{"cover_id": name, "item_id": item_of[name], "vector": collected.vectors[name]} for name in sorted(item_of)]
    return pa.Table.from_pylist(features, schema=COVER_FEATURES)


def _kept(context: StageContext, planned: list[Row], source: str | None) -> tuple[list[Row], dict[str, list[float]]]:
    """Rows and vectors that the plan takes over from the manifest it names."""
    if not planned:
        return [], {}
    if source is None:
        raise DataCorrupt(
            f"the plan of {context.run_date} keeps covers but names no date they are from; run icg plan-covers again"
        )
    former = date.fromisoformat(source)
    known = {row["request_hash"]: row for row in read_partition(context.store, keys.COVER_MANIFESTS, former).to_pylist()}
    vector_of = _vectors(context.store, former)
    rows, vectors = [], {}
    for wanted in planned:
        row = known.get(wanted["request_hash"])
        if row is None or row["cover_id"] != wanted["kept_cover_id"] or row["cover_id"] not in vector_of:
            raise DataCorrupt(
                f"the manifest of {former} no longer holds the cover planned to be kept for {pair_key(wanted)}; "
                f"run icg plan-covers for {context.run_date} again"
            )
        rows.append(row)
        vectors[row["cover_id"]] = vector_of[row["cover_id"]]
    return rows, vectors


def _vectors(store: ObjectStore, day: date) -> dict[str, list[float]]:
    """Image vectors of a published day: the files that its manifest names, or the partition where it names none."""
    manifest = find_partition(store, keys.COVER_MANIFESTS, day)
    named = manifest.metadata.get(FEATURES_KEY) if manifest else None
    columns = ["cover_id", "vector"]
    if named is None:
        table = read_partition(store, keys.COVER_FEATURES, day, columns)
    else:
        files = [PartitionFile(**entry) for entry in named]
        table = pa.concat_tables([read_partition_file(store, file, columns) for file in files])
    return dict(zip(table["cover_id"].to_pylist(), table["vector"].to_pylist(), strict=True))
