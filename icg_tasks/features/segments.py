"""Segments as DataFrame functions: who belongs to which group, a group's exact mean vector, whom it shares with yesterday.

What grows with users runs here, in Spark; finding the centres (clustering.py) and naming the groups (matching.py) do not.
Knows columns; neither paths nor dates. Legend: N users, V vector width, K centres.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema

from icg_tasks.features.clustering import Floats, Ints, TasteSpace, assign
from icg_tasks.features.exact_sums import fixed_point, list_column, sums_by_key

UNASSIGNED = -1
_BITS = 30
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


def beside(grouped: DataFrame, users: DataFrame) -> DataFrame:
    """The same groups with the vectors of another space (user_id, vector): of the users that both know."""
    return users.select("user_id", "vector").join(grouped.select("user_id", "group"), "user_id").select(*_GROUPED.names)


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
