"""The vectors of the covers that a window's impressions showed, joined to their rows: by broadcast while small, else by join.

Knows which partition stands for which day (window.py) and hands frames to user_vectors.py.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql

from icg_tasks.contracts.schemas import VECTOR
from icg_tasks.features.exact_sums import vector_matrix
from icg_tasks.features.spark_partitions import DAY, read_days
from icg_tasks.features.user_vectors import (
    Matrices,
    day_sums_by_broadcast,
    day_sums_by_join,
    unplaced,
    with_row_numbers,
    with_vectors,
)
from icg_tasks.features.window import DayPlan, WindowPlan
from icg_tasks.lake.partitions import Partition
from icg_tasks.lake.store import ObjectStore

_ITEMS = pa.schema([("item_id", pa.string()), ("vector", VECTOR)])
_COVERS = pa.schema([("cover_id", pa.string()), ("vector", VECTOR)])


def sum_days(
    spark: SparkSession,
    store: ObjectStore,
    plan: WindowPlan,
    days: list[DayPlan],
    residuals: DataFrame,
    *,
    scratch: Path,
    num_buckets: int,
    broadcast_values: int,
) -> tuple[DataFrame, DataFrame]:
    """Partial sums of these days by user, and what they could not place (one row: without_item, without_cover impressions).

    ``broadcast_values`` is the number of floats up to which vectors are copied to every worker instead of travelling with rows.
    """
    items = _items(spark, store, days, scratch)
    covers = _used_covers(spark, store, plan.covers, residuals, scratch)
    num_items = sum(part.rows for part in {day.items.run_date: day.items for day in days}.values())
    num_covers = sum(part.rows for part in plan.covers)
    if num_items * plan.width + num_covers * plan.width // 2 > broadcast_values:
        rows = with_vectors(residuals, items, covers)
        return day_sums_by_join(rows, plan.width, num_buckets), unplaced(rows, "item_vector", "cover_vector")
    item_rows, item_IV = _numbered(
        spark, items.groupBy("item_id", "vector").agg(sql.collect_list(DAY).alias(DAY)), "item", plan.width
    )
    cover_rows, cover_CE = _numbered(spark, covers, "cover", plan.width // 2)
    item_rows = item_rows.select(sql.explode(DAY).alias(DAY), "item_id", "item_row")
    matrices = spark.sparkContext.broadcast(Matrices(items=item_IV, covers=cover_CE))
    rows = with_row_numbers(residuals, item_rows, cover_rows).persist()
    return day_sums_by_broadcast(rows, matrices, num_buckets), unplaced(rows, "item_row", "cover_row")


def _items(spark: SparkSession, store: ObjectStore, days: list[DayPlan], scratch: Path) -> DataFrame:
    """Vectors by day and item: each day with the catalogue that stands for it."""
    partitions = {day.items.run_date: day.items for day in days}
    stands_for = [(day.items.run_date.isoformat(), day.day.isoformat()) for day in days]
    links = spark.createDataFrame(stands_for, "catalogue string, day string")
    rows = read_days(spark, store, [partitions[key] for key in sorted(partitions)], _ITEMS, scratch=scratch)
    joined = rows.withColumnRenamed(DAY, "catalogue").join(sql.broadcast(links), "catalogue")
    return joined.select(sql.col("day").alias(DAY), "item_id", "vector")


def _used_covers(
    spark: SparkSession, store: ObjectStore, partitions: list[Partition], residuals: DataFrame, scratch: Path
) -> DataFrame:
    """Vectors of the generated covers that the rows name, each once (a cover's id is the hash of its image)."""
    filled = [part for part in partitions if part.rows]
    if not filled:
        return spark.createDataFrame([], "cover_id string, vector array<float>")
    used = residuals.select("cover_id").where("cover_id is not null").distinct()
    rows = read_days(spark, store, filled, _COVERS, scratch=scratch).drop(DAY)
    return rows.join(used, "cover_id", "left_semi").groupBy("cover_id").agg(sql.max("vector").alias("vector"))


def _numbered(spark: SparkSession, frame: DataFrame, name: str, width: int) -> tuple[DataFrame, NDArray[np.float32]]:
    """A frame's vectors as a matrix on the driver, and its other columns with the row number in that matrix."""
    table = frame.toArrow()
    matrix = vector_matrix(table["vector"], width)
    rows = table.drop_columns(["vector"]).append_column(f"{name}_row", pa.array(np.arange(len(table), dtype=np.int32)))
    return spark.createDataFrame(rows), matrix
