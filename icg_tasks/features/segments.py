"""Segments as DataFrame functions: who belongs to which group, a group's exact mean vector, what it is shown and clicks.

What grows with users runs here, in Spark; finding the centres (clustering.py) and naming the groups (matching.py) do not.
Knows columns; neither paths nor dates beyond ``ds``. Legend: N users, V vector width, K centres.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema

from icg_tasks.features.clustering import Floats, Ints, TasteSpace, assign
from icg_tasks.features.exact_sums import WEIGHT_BITS, fixed_point, list_column, sums_by_key
from icg_tasks.features.spark_partitions import DAY

UNASSIGNED = -1
TRAFFIC_PRIOR = 20.0
"""Impressions of its share of everybody's that stand behind a segment's own count of an item."""
LIFT_PRIOR = 2.0
"""Information (sum of p(1 - p)) that speaks for an item being clicked no more than expected."""
_BITS = 30
_UNIT = float(2**WEIGHT_BITS)
_SAMPLE_PARTS = 1_000_000
_GROUPED = pa.schema([("user_id", pa.string()), ("group", pa.int32()), ("vector", pa.list_(pa.float32()))])
_SUMS = pa.schema([("group", pa.int32()), ("vector", pa.list_(pa.int64())), ("users", pa.int64())])


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """What Spark's workers need to place a user: the space, the centres in it, and the weight below which nobody is placed."""

    space: TasteSpace
    centres_KD: Floats
    min_weight: float


def sample_by_hash(frame: DataFrame, key: str, share: float) -> DataFrame:
    """About this share of the rows, the same ones whatever the partitioning: those whose key hashes low."""
    if share >= 1.0:
        return frame
    return frame.where(sql.pmod(sql.xxhash64(key), sql.lit(_SAMPLE_PARTS)) < int(share * _SAMPLE_PARTS))


def grouped_users(users: DataFrame, grouping: Grouping, width: int) -> DataFrame:
    """Users (user_id, vector, weight) with the number of their group; UNASSIGNED where too little is known of them."""
    kernel = partial(_place, grouping=grouping, width=width)
    return users.select("user_id", "vector", "weight").mapInArrow(kernel, from_arrow_schema(_GROUPED))


def group_sums(grouped: DataFrame, width: int, num_buckets: int) -> DataFrame:
    """Number of users and exact sum of their vectors (fixed point 2^-30) per group."""
    partial_sums = grouped.mapInArrow(partial(_sum_partition, width=width), from_arrow_schema(_SUMS))
    spread = partial_sums.repartition(num_buckets, "group").sortWithinPartitions("group")
    return spread.mapInArrow(partial(_sum_groups, width=width), from_arrow_schema(_SUMS))


def mean_vectors(sums: pa.Table) -> tuple[list[int], Ints, Floats]:
    """Group numbers ascending, their sizes [K] and mean vectors [K, V] from the rows of ``group_sums``."""
    rows = sorted((row for row in sums.to_pylist() if row["group"] != UNASSIGNED), key=lambda row: int(row["group"]))
    sizes = np.array([row["users"] for row in rows], dtype=np.int64)
    totals = np.array([row["vector"] for row in rows], dtype=np.float64) / 2.0**_BITS
    return [int(row["group"]) for row in rows], sizes, totals / np.maximum(sizes, 1)[:, None] if rows else totals


def shared_users(grouped: DataFrame, former: DataFrame) -> DataFrame:
    """How many users each group shares with each former segment (user_id, segment_id): group, segment_id, users."""
    return (
        grouped.select("user_id", "group")
        .join(former, "user_id")
        .groupBy("group", "segment_id")
        .agg(sql.count("*").alias("users"))
    )


def segment_items(residuals: DataFrame, members: DataFrame, decay: Mapping[str, float]) -> DataFrame:
    """What each segment was shown and clicked, per item, decayed by day.

    Args:
        residuals: rows of user_vectors.click_residuals.
        members: user_id, segment_id.
        decay: how much each day counts, by its text.

    Returns:
        segment_id, item_id, shown (impressions a day since the item appeared, as far as decayed), raw (decayed impressions),
        residual and information of impressions that showed the item's own cover. Sums are exact.
    """
    weight = sql.lit(0)
    for day, share in decay.items():
        weight = sql.when(sql.col(DAY) == day, sql.lit(round(share * _UNIT))).otherwise(weight)
    own = sql.when(sql.col("cover_id").isNull(), sql.lit(1)).otherwise(0)
    rows = residuals.withColumn("decay", weight).join(members, "user_id")
    sums = rows.groupBy("segment_id", "item_id").agg(
        (sql.sum(sql.col("impressions") * sql.col("decay")) / _UNIT).alias("raw"),
        (sql.sum(sql.col("residual") * sql.col("decay") * own) / _UNIT**2).alias("residual"),
        (sql.sum(sql.col("information") * sql.col("decay") * own) / _UNIT**2).alias("information"),
    )
    since = residuals.groupBy("item_id").agg(sql.min(DAY).alias("first_day"))
    daily = sql.round(sql.col("raw") / _days_since(decay) * _UNIT) / _UNIT  # multiples of 2^-20 add up exactly
    return sums.join(since, "item_id").withColumn("shown", sql.greatest(daily, sql.lit(1 / _UNIT))).drop("first_day")


def ranked_items(items: DataFrame, num_top: int, num_liked: int) -> DataFrame:
    """Per segment the items with the highest expected traffic and those clicked most above expectation.

    Expected traffic leans on the segment's share of everybody's traffic as far as its own counts are few. Columns segment_id,
    item_id, traffic, traffic_rank, lift, lift_rank (ranks from 1; a row is here for at least one of them).
    """
    whole = items.groupBy("item_id").agg(sql.sum("shown").alias("everybody"))
    shares = items.groupBy("segment_id").agg(sql.sum("shown").alias("mine"))
    total = items.agg(sql.sum("shown").alias("all"))
    rows = items.join(whole, "item_id").join(shares, "segment_id").crossJoin(total)
    fair = sql.col("everybody") * sql.col("mine") / sql.greatest(sql.col("all"), sql.lit(1e-9))
    traffic = fair * (sql.col("raw") + TRAFFIC_PRIOR) / (fair * sql.col("raw") / sql.col("shown") + TRAFFIC_PRIOR)
    lift = sql.col("residual") / (sql.col("information") + LIFT_PRIOR)
    scored = rows.select("segment_id", "item_id", sql.round(traffic, 9).alias("traffic"), sql.round(lift, 9).alias("lift"))
    ranked = scored.withColumn("traffic_rank", _rank("traffic")).withColumn("lift_rank", _rank("lift"))
    return ranked.where((sql.col("traffic_rank") <= num_top) | (sql.col("lift_rank") <= num_liked))


def diverse_history(item_ids: list[str], lifts: list[float], vectors_IV: NDArray[np.floating], length: int) -> list[str]:
    """The most liked items that are not all alike: each next one by lift less its likeness to those already chosen.

    ``vectors_IV`` are the items' vectors about the catalogue's mean. Ties go to the smaller item id.
    """
    unit_IV = vectors_IV / np.maximum(np.linalg.norm(vectors_IV, axis=1, keepdims=True), 1e-12)
    top = max([*lifts, 1e-9])
    chosen: list[int] = []
    left = sorted(range(len(item_ids)), key=lambda row: item_ids[row])
    while left and len(chosen) < length:
        likeness = (unit_IV[left] @ unit_IV[chosen].T).max(axis=1) if chosen else np.zeros(len(left))
        worth = np.array([lifts[row] for row in left]) / top - 0.5 * likeness
        chosen.append(left.pop(int(np.argmax(np.round(worth, 9)))))
    return [item_ids[row] for row in chosen]


def _rank(column: str) -> Column:
    return sql.row_number().over(Window.partitionBy("segment_id").orderBy(sql.col(column).desc(), sql.col("item_id")))


def _days_since(decay: Mapping[str, float]) -> Column:
    """Decayed number of days from ``first_day`` on."""
    expression = sql.lit(1.0)
    for first in decay:
        days = sum(share for day, share in decay.items() if day >= first)
        expression = sql.when(sql.col("first_day") == first, sql.lit(max(days, 1e-9))).otherwise(expression)
    return expression


def _place(batches: Iterable[pa.RecordBatch], *, grouping: Grouping, width: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        weight_N = batch.column("weight").to_numpy(zero_copy_only=False)
        vectors_NV = list_column(batch, "vector", width)
        group_N = assign(grouping.space.points(vectors_NV, weight_N), grouping.centres_KD)
        group_N[(weight_N < grouping.min_weight) | ~vectors_NV.any(axis=1)] = UNASSIGNED
        columns = [
            batch.column("user_id"),
            pa.array(group_N, type=pa.int32()),
            batch.column("vector").cast(_GROUPED.field("vector").type),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=_GROUPED)


def _sum_partition(batches: Iterable[pa.RecordBatch], *, width: int) -> Iterator[pa.RecordBatch]:
    totals: dict[int, tuple[Ints, int]] = {}
    for batch in batches:
        group_N = batch.column("group").to_numpy(zero_copy_only=False)
        vectors_NV = fixed_point(list_column(batch, "vector", width), _BITS)
        for group in np.unique(group_N).tolist():
            mine = group_N == group
            vector, users = totals.get(group, (np.zeros(width, dtype=np.int64), 0))
            totals[group] = (vector + vectors_NV[mine].sum(axis=0), users + int(mine.sum()))
    rows = [{"group": group, "vector": vector.tolist(), "users": users} for group, (vector, users) in sorted(totals.items())]
    yield pa.RecordBatch.from_pylist(rows, schema=_SUMS)


def _sum_groups(batches: Iterable[pa.RecordBatch], *, width: int) -> Iterator[pa.RecordBatch]:
    def vectors_of(batch: pa.RecordBatch) -> Ints:
        return np.asarray(batch.column("vector").flatten().to_numpy(zero_copy_only=False), dtype=np.int64).reshape(-1, width)

    for keys, vectors_GV, users_G1 in sums_by_key(batches, ("group",), ("users",), vectors_of):
        rows = zip(keys, vectors_GV.tolist(), users_G1[:, 0].tolist(), strict=True)
        yield pa.RecordBatch.from_pylist(
            [{"group": key[0], "vector": vector, "users": users} for key, vector, users in rows], schema=_SUMS
        )
