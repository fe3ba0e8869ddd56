"""Stage assign-segments: users of one taste into segments, under yesterday's names, with what they see and like.

``icg assign-segments --run-date D`` or ``spark-submit spark_jobs/assign_segments.py --run-date D``. Reads features/users and
features/items of the run date, clean/impressions of the window, the catalogue, and the former segments; writes
features/user_segments and features/segments. Who belongs together may be told by who clicked what (features.segment_vectors);
a segment's vector is the mean of its users' content vectors either way, since covers are drawn for those. Users of whom too
little is known get the segment of everyone ("_all"), that is unpersonalised covers. Knows where data lies; the work is
icg_tasks.features.segments', clustering's and matching's.
"""

import shutil
import sys
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # spark-submit puts this folder on the path, not the repository
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sql

from icg_tasks.cli import main as icg
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.errors import DataMissing, GateRefused
from icg_tasks.contracts.stages import ASSIGN_SEGMENTS, StageOutcome
from icg_tasks.features.clustering import Floats, Ints, merged_groups
from icg_tasks.features.exact_sums import vector_matrix
from icg_tasks.features.matching import Former, Match, match_segments, nobody
from icg_tasks.features.segment_profiles import Profile, segment_profiles, segment_rows
from icg_tasks.features.segment_search import Sample, find_grouping, former_groups
from icg_tasks.features.segments import (
    UNASSIGNED,
    beside,
    group_sums,
    grouped_users,
    mean_vectors,
    sample_by_hash,
    shared_users,
)
from icg_tasks.features.spaces import vectors_for_segments
from icg_tasks.features.spark_partitions import DAY, bucketed, read_days, write_days
from icg_tasks.features.user_vectors import residual_rows
from icg_tasks.features.vector_formula import decay
from icg_tasks.lake.partitions import (
    Partition,
    find_partition,
    latest_partition_before,
    list_partition_dates,
    read_partition,
    write_partition,
)
from icg_tasks.spark_session import spark_session
from icg_tasks.stage import StageContext

_MAX_SAMPLE_ITEMS = 20_000
_USERS = pa.schema([schemas.USERS.field(name) for name in ("user_id", "vector", "weight")])
_ITEMS = pa.schema([schemas.ITEM_FEATURES.field(name) for name in ("item_id", "vector")])
_CATALOGUE = pa.schema([schemas.ITEMS.field("item_id")])


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """The day's groups: every user's group, and per group (ascending number) its size and mean vector."""

    grouped: DataFrame
    numbers: list[int]
    sizes_K: Ints
    centroids_KV: Floats
    agreement: dict[int, float] = field(default_factory=dict)


def run(context: StageContext) -> StageOutcome:
    """Find, name and describe the run date's segments."""
    users = _needed(context, keys.USERS, "build-user-embeddings")
    items = _needed(context, keys.ITEM_FEATURES, "embed-items")
    told_by = vectors_for_segments(context, users, items)
    with spark_session(context.settings.spark, context.stage) as spark:
        groups = _find_groups(context, spark, users, *told_by)
        context.say(f"{len(groups.numbers)} groups of {int(groups.sizes_K.sum())} users")
        matches, next_number, stayed = _named(context, spark, groups, users)
        names = {number: match.segment_id for number, match in zip(groups.numbers, matches, strict=True)}
        members, written = _write_members(context, spark, groups.grouped, names)
        context.stop.check()
        described = _described(context, spark, members, items)
        context.say("traffic and history of each segment found")
    rows = segment_rows(groups.sizes_K, groups.centroids_KV, matches, described)
    metadata = {"encoder": users.metadata["encoder"], "width": users.metadata["width"], "next_number": next_number}
    table = pa.Table.from_pylist(rows, schema=schemas.SEGMENTS)
    write_partition(context.store, keys.SEGMENTS, context.run_date, [table], schema=schemas.SEGMENTS, metadata=metadata)
    shutil.rmtree(context.scratch("download"), ignore_errors=True)
    return _outcome(context, rows, written, {"users_who_stayed": stayed, "agreement_by_count": groups.agreement})


def _needed(context: StageContext, dataset: str, stage: str) -> Partition:
    found = find_partition(context.store, dataset, context.run_date)
    if found is None or not found.rows:
        day = context.run_date
        raise DataMissing(f"{dataset} has no rows for {day} in {context.store.uri}; run `icg {stage} --run-date {day}` first")
    return found


def _read(context: StageContext, spark: SparkSession, partitions: list[Partition], schema: pa.Schema) -> DataFrame:
    return read_days(spark, context.store, partitions, schema, scratch=context.scratch("download"))


def _find_groups(context: StageContext, spark: SparkSession, content: Partition, users: Partition, items: Partition) -> _Groups:
    """Groups of users by their vectors and those of items; their means are of content vectors."""
    settings, width = context.settings.features, int(users.metadata["width"])
    frame = _read(context, spark, [users], _USERS).drop(DAY)
    known = frame.where(sql.col("weight") >= settings.min_user_weight)
    share = min(1.0, settings.kmeans_sample_users / users.rows)
    sample = sample_by_hash(known, "user_id", share).toArrow().sort_by("user_id").combine_chunks()
    most = int(len(sample) / share) // max(settings.min_segment_users, 1)
    if most < 1:
        raise GateRefused(
            f"{len(sample)} users have clicks enough to tell their taste (weight {settings.min_user_weight} or more), "
            f"a segment needs {settings.min_segment_users}; wait for more days of logs, or lower features.min_segment_users"
        )
    item_rows = sample_by_hash(_read(context, spark, [items], _ITEMS), "item_id", _MAX_SAMPLE_ITEMS / items.rows)
    grouping, agreement = find_grouping(
        Sample(
            vectors_NV=vector_matrix(sample["vector"], width),
            weight_N=sample["weight"].to_numpy(),
            former_N=former_groups(context.store, context.run_date, sample["user_id"].combine_chunks()),
            items_IV=vector_matrix(item_rows.toArrow().sort_by("item_id")["vector"], width),
            prior_weight=float(users.metadata["prior_weight"]),
        ),
        most,
        settings,
    )
    grouped = grouped_users(frame, grouping, width)
    if content is not users:
        grouped = beside(grouped, _read(context, spark, [content], _USERS).drop(DAY))
    return replace(
        _merged(context, grouped.persist(), grouping.centres_KD, int(content.metadata["width"])), agreement=agreement
    )


def _merged(context: StageContext, grouped: DataFrame, centres_KD: Floats, width: int) -> _Groups:
    """Groups with those too small joined to their neighbours."""
    counts = {row["group"]: row["count"] for row in grouped.groupBy("group").count().collect()}
    sizes = np.array([counts.get(number, 0) for number in range(len(centres_KD))], dtype=np.int64)
    home_K = merged_groups(sizes, centres_KD, context.settings.features.min_segment_users)
    merged = grouped.withColumn("group", _looked_up(home_K.tolist(), sql.lit(UNASSIGNED)).cast("int"))
    numbers, sizes_K, centroids_KV = mean_vectors(
        group_sums(merged, width, context.settings.spark.shuffle_partitions).toArrow()
    )
    return _Groups(grouped=merged, numbers=numbers, sizes_K=sizes_K, centroids_KV=centroids_KV)


def _looked_up(values: list[Any], otherwise: Column) -> Column:
    """The value at a row's group number, or the other one for those without a group."""
    known = (sql.col("group") >= 0) & (sql.col("group") < len(values))
    place = sql.when(known, sql.col("group")).otherwise(sql.lit(0)) + 1
    found = sql.element_at(sql.array(*(sql.lit(value) for value in values)), place)
    return sql.when(known, found).otherwise(otherwise)


def _named(
    context: StageContext, spark: SparkSession, groups: _Groups, users: Partition
) -> tuple[list[Match], int, float | None]:
    """Names of the groups, the next free number, and the share of users with a segment on both days who kept its name."""
    day = latest_partition_before(context.store, keys.SEGMENTS, context.run_date)
    members = find_partition(context.store, keys.USER_SEGMENTS, day) if day is not None else None
    if day is None or members is None:
        shared = np.zeros((len(groups.numbers), 0), dtype=np.int64)
        return *match_segments(groups.sizes_K, groups.centroids_KV, shared, nobody(groups.centroids_KV.shape[1])), None
    metadata = (find_partition(context.store, keys.SEGMENTS, day) or users).metadata
    table = read_partition(context.store, keys.SEGMENTS, day).sort_by("segment_id")
    names = table["segment_id"].to_pylist()
    same = metadata.get("encoder") == users.metadata["encoder"]
    former = Former(
        names=names,
        sizes_F=table["size"].to_numpy(),
        centroids_FV=vector_matrix(table["centroid"], groups.centroids_KV.shape[1]).astype(np.float64) if same else None,
        next_number=int(metadata.get("next_number", 0)),
    )
    shared = np.zeros((len(groups.numbers), len(names)), dtype=np.int64)
    before = _read(context, spark, [members], schemas.USER_SEGMENTS).drop(DAY)
    for row in shared_users(groups.grouped, before).collect():
        if row["group"] in groups.numbers and row["segment_id"] in names:
            shared[groups.numbers.index(row["group"]), names.index(row["segment_id"])] = row["users"]
    matches, number = match_segments(groups.sizes_K, groups.centroids_KV, shared, former)
    kept = sum(
        int(shared[row, names.index(match.matched_from)]) for row, match in enumerate(matches) if match.matched_from is not None
    )
    return matches, number, kept / int(shared.sum()) if shared.any() else None


def _write_members(
    context: StageContext, spark: SparkSession, grouped: DataFrame, names: dict[int, str]
) -> tuple[DataFrame, Partition]:
    listed = [names.get(number, schemas.EVERYONE) for number in range(max(names, default=0) + 1)]
    name = _looked_up(listed, sql.lit(schemas.EVERYONE))
    everyone = grouped.select(sql.lit(context.run_date.isoformat()).alias(DAY), "user_id", name.alias("segment_id"))
    frame = bucketed(everyone, "user_id", context.settings.spark.shuffle_partitions)
    days = {context.run_date: {"segments": len(names)}}
    written = write_days(frame, context.store, keys.USER_SEGMENTS, days, schema=schemas.USER_SEGMENTS, key="user_id")
    members = _read(context, spark, [written[context.run_date]], schemas.USER_SEGMENTS).drop(DAY)
    return members.where(sql.col("segment_id") != schemas.EVERYONE), written[context.run_date]


def _described(context: StageContext, spark: SparkSession, members: DataFrame, items: Partition) -> dict[str, Profile]:
    settings = context.settings.features
    first = context.run_date - timedelta(days=min(settings.profile_days or settings.window_days, settings.window_days) - 1)
    days = [day for day in list_partition_dates(context.store, keys.IMPRESSIONS) if first <= day <= context.run_date]
    shown = [part for day in days if (part := find_partition(context.store, keys.IMPRESSIONS, day)) is not None]
    catalogue = _needed(context, keys.ITEMS, "validate-items")
    return segment_profiles(
        residual_rows(spark, context.store, shown, settings.events),
        members,
        _read(context, spark, [catalogue], _CATALOGUE).drop(DAY),
        _read(context, spark, [items], _ITEMS).drop(DAY),
        decay_of_day={day.isoformat(): decay((context.run_date - day).days, settings.half_life_days) for day in days},
        num_top=settings.num_top_items,
        history_length=settings.history_length,
        width=int(items.metadata["width"]),
    )


def _outcome(context: StageContext, rows: list[dict[str, Any]], members: Partition, more: dict[str, Any]) -> StageOutcome:
    placed = sum(row["size"] for row in rows)
    drifts = [row["drift"] for row in rows if row["drift"] is not None]
    figures = {
        "sizes": {row["segment_id"]: row["size"] for row in rows},
        "expected_traffic": {row["segment_id"]: row["expected_traffic"] for row in rows},
        "max_drift": max(drifts, default=None),
        **more,
    }
    counts = {"users": members.rows, "users_in_segments": placed, "segments": len(rows), "kept_names": len(drifts)}
    outputs = [keys.partition_prefix(dataset, context.run_date) for dataset in (keys.SEGMENTS, keys.USER_SEGMENTS)]
    return StageOutcome(outputs=outputs, counts=counts, figures=figures)


def main() -> int:
    """Entry point under spark-submit; the exit code of ``icg assign-segments``."""
    return icg([ASSIGN_SEGMENTS, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
