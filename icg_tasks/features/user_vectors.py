"""User vectors as DataFrame functions: a day's partial sum per user, and the decayed sum of days.

An impression contributes (clicked - expected click rate of its place that day) x (vector of the cover that was shown), so a
user's vector points at what they click more than the place explains. Its weight is the information p(1 - p) that the
impression carries: a user of few impressions is shrunk towards zero, "nobody special". All sums are exact (exact_sums), so
the same rows give the same bytes in any partitioning. Knows columns; neither paths nor dates beyond the ``ds`` column.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema

from icg_tasks.contracts.schemas import USER_DAYS, VECTOR
from icg_tasks.features.exact_sums import (
    SUM_SCALE,
    VECTOR_BITS,
    WEIGHT_BITS,
    Ints,
    fixed_point,
    list_column,
    sums_by_key,
    vector_array,
)
from icg_tasks.features.spark_partitions import DAY, bucketed
from icg_tasks.features.vector_formula import shrunken

RATE_PRIOR_IMPRESSIONS = 100.0
"""A place's click rate is pulled towards the day's overall rate as if by this many impressions."""
_DECAYED_BITS = 30
_WEIGHT = float(2**WEIGHT_BITS)
_NUMBERS = ("information", "impressions", "clicks")
_DAY_SUMS = pa.schema([(DAY, pa.string()), *USER_DAYS])
UNSCALED = pa.schema(
    [
        ("user_id", pa.string()),
        ("vector", VECTOR),
        ("weight", pa.float64()),
        ("impressions", pa.int64()),
        ("clicks", pa.int64()),
        ("squared_norm", pa.int64()),  # in units of 2^-30, so that it adds up exactly
    ]
)
NORM_SCALE = 2.0**_DECAYED_BITS


@dataclass(frozen=True, kw_only=True)
class Matrices:
    """Vectors of items [I, 2E] and of generated covers' images [C, E], small enough to give every worker a copy."""

    items: NDArray[np.float32]
    covers: NDArray[np.float32]


def click_residuals(impressions: DataFrame) -> DataFrame:
    """Impressions (ds, user_id, item_id, cover_id, surface, position, clicked) to one row per day, user, item and shown cover.

    Columns ds, user_id, item_id, cover_id, residual and information (sums in fixed point 2^-20), impressions, clicks.
    """
    shown = impressions.withColumn("click", sql.coalesce(sql.col("clicked").cast("long"), sql.lit(0)))
    counted = (sql.count(sql.lit(1)), sql.sum("click"))
    overall = shown.groupBy(DAY).agg(counted[0].alias("day_shown"), counted[1].alias("day_clicks"))
    places = shown.groupBy(DAY, "surface", "position").agg(counted[0].alias("shown"), counted[1].alias("place_clicks"))
    prior = sql.lit(RATE_PRIOR_IMPRESSIONS)
    rate = (sql.col("place_clicks") + prior * sql.col("day_clicks") / sql.col("day_shown")) / (sql.col("shown") + prior)
    rates = places.join(overall, DAY).select(DAY, "surface", "position", rate.alias("rate"))
    judged = shown.join(sql.broadcast(rates), [DAY, "surface", "position"])
    residual = sql.round((sql.col("click") - sql.col("rate")) * _WEIGHT).cast("long")
    information = sql.round(sql.col("rate") * (1 - sql.col("rate")) * _WEIGHT).cast("long")
    return judged.groupBy(DAY, "user_id", "item_id", "cover_id").agg(
        sql.sum(residual).alias("residual"),
        sql.sum(information).alias("information"),
        sql.count(sql.lit(1)).alias("impressions"),
        sql.sum("click").alias("clicks"),
    )


def with_row_numbers(residuals: DataFrame, item_rows: DataFrame, cover_rows: DataFrame) -> DataFrame:
    """Residuals with the rows of their item and generated cover in matrices: item_rows (ds, item_id, item_row), cover_rows
    (cover_id, cover_row). Small tables, copied to every worker."""
    placed = residuals.join(sql.broadcast(item_rows), [DAY, "item_id"], "left")
    placed = placed.join(sql.broadcast(cover_rows), "cover_id", "left")
    return placed.select(DAY, "user_id", "residual", *_NUMBERS, _generated(), "item_row", "cover_row")


def with_vectors(residuals: DataFrame, items: DataFrame, covers: DataFrame) -> DataFrame:
    """Residuals with the vectors themselves: items (ds, item_id, vector), covers (cover_id, vector of half the width)."""
    heavy = residuals.join(items.withColumnRenamed("vector", "item_vector"), [DAY, "item_id"], "left")
    heavy = heavy.join(covers.withColumnRenamed("vector", "cover_vector"), "cover_id", "left")
    return heavy.select(DAY, "user_id", "residual", *_NUMBERS, _generated(), "item_vector", "cover_vector")


def unplaced(rows: DataFrame, item_column: str, cover_column: str) -> DataFrame:
    """One row: impressions whose item has no vector (without_item), and whose generated cover has none (without_cover).

    The former add nothing but their counts, the latter the item's title part alone.
    """
    no_item = sql.when(sql.col(item_column).isNull(), sql.col("impressions")).otherwise(0)
    no_cover = sql.when(sql.col("generated") & sql.col(cover_column).isNull(), sql.col("impressions")).otherwise(0)
    return rows.agg(sql.sum(no_item).alias("without_item"), sql.sum(no_cover).alias("without_cover"))


def day_sums_by_broadcast(rows: DataFrame, matrices: "Broadcast[Matrices]", num_buckets: int) -> DataFrame:
    """Partial sums per day and user (ds and the columns of USER_DAYS) of ``with_row_numbers``, bucketed by user."""
    kernel = partial(_sum_days, contributions=_LookUp(matrices), width=matrices.value.items.shape[1])
    return bucketed(rows, "user_id", num_buckets).mapInArrow(kernel, from_arrow_schema(_DAY_SUMS))


def day_sums_by_join(rows: DataFrame, width: int, num_buckets: int) -> DataFrame:
    """The same of ``with_vectors``, for catalogues too large to copy: the vectors travel with the rows."""
    kernel = partial(_sum_days, contributions=_carried, width=width)
    return bucketed(rows, "user_id", num_buckets).mapInArrow(kernel, from_arrow_schema(_DAY_SUMS))


def decayed_vectors(days: DataFrame, width: int, prior_weight: float, num_buckets: int) -> DataFrame:
    """Partial sums with a ``decay`` column (1 for the run date) to one unscaled vector per user (UNSCALED), bucketed by user.

    vector = sum(decay x vector_sum) / (sum(decay x weight) + prior_weight); weight is the decayed one, counts are plain sums.
    """
    kernel = partial(_sum_window, width=width, prior_weight=prior_weight)
    spread = days.repartition(num_buckets, "user_id").sortWithinPartitions("user_id")
    return spread.mapInArrow(kernel, from_arrow_schema(UNSCALED))


def scaled(users: DataFrame, factor: float, day: str) -> DataFrame:
    """Unscaled vectors times a factor, with the day they stand for: ds and the columns of USERS."""
    vector = sql.transform("vector", lambda value: (value.cast("double") * factor).cast("float"))
    return users.select(sql.lit(day).alias(DAY), "user_id", vector.alias("vector"), "weight", "impressions", "clicks")


@dataclass(frozen=True)
class _LookUp:
    """Contributions of rows that point into broadcast matrices."""

    matrices: "Broadcast[Matrices]"

    def __call__(self, batch: pa.RecordBatch, width: int) -> NDArray[np.float32]:
        """Vectors of the covers that were shown [N, width]."""
        matrices = self.matrices.value
        items = _rows_or_zero(matrices.items, _row_numbers(batch, "item_row"))
        generated = batch.column("generated").to_numpy(zero_copy_only=False)
        half = width // 2
        items[generated, :half] = _rows_or_zero(matrices.covers, _row_numbers(batch, "cover_row")[generated])
        return items


def _generated() -> Column:
    return sql.col("cover_id").isNotNull().alias("generated")


def _carried(batch: pa.RecordBatch, width: int) -> NDArray[np.float32]:
    items = list_column(batch, "item_vector", width)
    generated = batch.column("generated").to_numpy(zero_copy_only=False)
    items[generated, : width // 2] = list_column(batch, "cover_vector", width // 2)[generated]
    return items


def _rows_or_zero(matrix: NDArray[np.float32], rows: Ints) -> NDArray[np.float32]:
    found = np.zeros((len(rows), matrix.shape[1]), dtype=np.float32)
    found[rows >= 0] = matrix[rows[rows >= 0]]
    return found


def _row_numbers(batch: pa.RecordBatch, name: str) -> Ints:
    rows: Ints = batch.column(name).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return rows


def _sum_days(batches: Iterable[pa.RecordBatch], *, contributions: Any, width: int) -> Iterator[pa.RecordBatch]:
    def vectors_of(batch: pa.RecordBatch) -> Ints:
        weight_N: Ints = batch.column("residual").to_numpy(zero_copy_only=False).astype(np.int64)
        return fixed_point(contributions(batch, width), VECTOR_BITS) * weight_N[:, None]

    for keys, vectors_GV, numbers_GC in sums_by_key(batches, (DAY, "user_id"), _NUMBERS, vectors_of):
        days, users = zip(*keys, strict=True)
        columns = [pa.array(days), pa.array(users), vector_array((vectors_GV / SUM_SCALE).astype(np.float32))]
        columns += [pa.array(numbers_GC[:, 0] / _WEIGHT), pa.array(numbers_GC[:, 1]), pa.array(numbers_GC[:, 2])]
        yield pa.RecordBatch.from_arrays(columns, schema=_DAY_SUMS)


def _sum_window(batches: Iterable[pa.RecordBatch], *, width: int, prior_weight: float) -> Iterator[pa.RecordBatch]:
    def vectors_of(batch: pa.RecordBatch) -> Ints:
        decay_N = batch.column("decay").to_numpy(zero_copy_only=False)
        decayed_NV = list_column(batch, "vector_sum", width).astype(np.float64) * decay_N[:, None]
        return fixed_point(decayed_NV, _DECAYED_BITS)

    def with_weight(source: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in source:
            decay_N = batch.column("decay").to_numpy(zero_copy_only=False)
            weight_N = fixed_point(batch.column("weight").to_numpy(zero_copy_only=False) * decay_N, _DECAYED_BITS)
            yield batch.append_column("information", pa.array(weight_N))

    for keys, vectors_GV, numbers_GC in sums_by_key(with_weight(batches), ("user_id",), _NUMBERS, vectors_of):
        weight_G = numbers_GC[:, 0] / NORM_SCALE
        mean_GV = shrunken(vectors_GV / NORM_SCALE, weight_G, prior_weight).astype(np.float32)
        norm_G = fixed_point(np.square(mean_GV, dtype=np.float64).sum(axis=1), _DECAYED_BITS)
        columns = [pa.array([key[0] for key in keys]), vector_array(mean_GV), pa.array(weight_G)]
        columns += [pa.array(numbers_GC[:, 1]), pa.array(numbers_GC[:, 2]), pa.array(norm_G)]
        yield pa.RecordBatch.from_arrays(columns, schema=UNSCALED)
