"""Stage build-user-embeddings: partial sums of the window's days that lack them, then every user's decayed vector.

``icg build-user-embeddings --run-date D`` or ``spark-submit spark_jobs/build_user_embeddings.py --run-date D``: the same
arguments, the same closing line (spark-submit mixes stderr into stdout, so there it is the last line). Reads
clean/impressions, features/items, features/covers; writes features/user_days of each day computed and features/users of the
run date. Knows where data lies; what is summed is icg_tasks.features.user_vectors'.
"""

import math
import shutil
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # spark-submit puts this folder on the path, not the repository
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql

from icg_tasks.cli import main as icg
from icg_tasks.contracts.partitions import USER_DAYS, USERS, partition_prefix
from icg_tasks.contracts.schemas import IMPRESSIONS
from icg_tasks.contracts.schemas import USER_DAYS as DAYS_SCHEMA
from icg_tasks.contracts.schemas import USERS as USERS_SCHEMA
from icg_tasks.contracts.stages import BUILD_USER_EMBEDDINGS, StageOutcome
from icg_tasks.features.shown_vectors import sum_days
from icg_tasks.features.spark_partitions import DAY, read_days, write_days
from icg_tasks.features.spark_session import spark_session
from icg_tasks.features.user_vectors import NORM_SCALE, click_residuals, decayed_vectors, scaled
from icg_tasks.features.vector_formula import decay
from icg_tasks.features.window import DayPlan, WindowPlan, plan_window
from icg_tasks.lake.partitions import Partition
from icg_tasks.stage import StageContext

_DAYS_AT_ONCE = 10
_COLUMNS = ("user_id", "item_id", "cover_id", "surface", "position", "clicked")
_IMPRESSIONS = pa.schema([IMPRESSIONS.field(name) for name in _COLUMNS])


def run(context: StageContext) -> StageOutcome:
    """Compute what is missing and write the run date's user vectors."""
    settings = context.settings.features
    plan = plan_window(context.store, context.run_date, settings.window_days)
    missing = plan.missing
    context.say(f"window of {len(plan.days)} days, partial sums to compute for {len(missing)}")
    sums = {day.day: day.sums for day in plan.days if day.sums is not None}
    unplaced = {"impressions_without_item_vector": 0, "impressions_without_cover_vector": 0}
    with spark_session(context.settings.spark, context.stage) as spark:
        for start in range(0, len(missing), _DAYS_AT_ONCE):
            chunk = missing[start : start + _DAYS_AT_ONCE]
            sums |= _write_sums(context, spark, plan, chunk, unplaced)
            context.say(f"partial sums of {chunk[0].day} to {chunk[-1].day} written")
            context.stop.check("the days written so far are kept")
        written, figures = _write_users(context, spark, plan, [sums[day] for day in sorted(sums)])
    shutil.rmtree(context.scratch("download"), ignore_errors=True)
    outputs = [partition_prefix(USER_DAYS, day.day) for day in missing] + [partition_prefix(USERS, context.run_date)]
    counts = {"days": len(plan.days), "days_computed": len(missing), "users": written.rows} | unplaced
    return StageOutcome(outputs=outputs, counts=counts, figures=figures)


def _write_sums(
    context: StageContext, spark: SparkSession, plan: WindowPlan, days: list[DayPlan], unplaced: dict[str, int]
) -> dict[Any, Partition]:
    scratch = context.scratch("download")
    impressions = read_days(spark, context.store, [day.impressions for day in days], _IMPRESSIONS, scratch=scratch)
    residuals = click_residuals(impressions).persist()
    frame, unplaced_frame = sum_days(
        spark,
        context.store,
        plan,
        days,
        residuals,
        scratch=scratch,
        num_buckets=context.settings.spark.shuffle_partitions,
        broadcast_values=context.settings.features.broadcast_values,
    )
    row = unplaced_frame.first()
    if row is not None:
        unplaced["impressions_without_item_vector"] += int(row["without_item"] or 0)
        unplaced["impressions_without_cover_vector"] += int(row["without_cover"] or 0)
    metadata = {day.day: {"fingerprint": day.fingerprint, "encoder": plan.encoder, "width": plan.width} for day in days}
    written = write_days(frame, context.store, USER_DAYS, metadata, schema=DAYS_SCHEMA, key="user_id")
    residuals.unpersist()
    return written


def _write_users(
    context: StageContext, spark: SparkSession, plan: WindowPlan, sums: list[Partition]
) -> tuple[Partition, dict[str, Any]]:
    settings = context.settings.features
    days = _with_decay(context, read_days(spark, context.store, sums, DAYS_SCHEMA, scratch=context.scratch("download")), sums)
    num_buckets = context.settings.spark.shuffle_partitions
    users = decayed_vectors(days, plan.width, settings.prior_weight, num_buckets).persist()
    total = users.agg(
        sql.count(sql.lit(1)).alias("users"),
        sql.sum("squared_norm").alias("norm"),
        sql.sum("impressions").alias("impressions"),
        sql.sum("clicks").alias("clicks"),
    ).first()
    found = total.asDict() if total is not None else {}
    mean_norm = (found.get("norm") or 0) / NORM_SCALE / max(found.get("users") or 0, 1)
    factor = 1.0 / math.sqrt(mean_norm) if mean_norm > 0 else 1.0
    metadata = {
        "scale": factor,
        "encoder": plan.encoder,
        "width": plan.width,
        "window_days": settings.window_days,
        "half_life_days": settings.half_life_days,
        "prior_weight": settings.prior_weight,
        "days": {day.day.isoformat(): day.fingerprint for day in plan.days},
    }
    frame = scaled(users, factor, context.run_date.isoformat())
    written = write_days(frame, context.store, USERS, {context.run_date: metadata}, schema=USERS_SCHEMA, key="user_id")
    users.unpersist()
    click_rate = (found.get("clicks") or 0) / max(found.get("impressions") or 0, 1)
    figures = {"scale": factor, "click_rate": click_rate, "impressions": found.get("impressions") or 0, "width": plan.width}
    return written[context.run_date], figures


def _with_decay(context: StageContext, days: DataFrame, sums: list[Partition]) -> DataFrame:
    """A column ``decay``: 1 on the run date, halved every half-life before it."""
    half_life = context.settings.features.half_life_days
    share = sql.lit(0.0)
    for part in sums:
        counts = decay((context.run_date - part.run_date).days, half_life)
        share = sql.when(sql.col(DAY) == part.run_date.isoformat(), sql.lit(counts)).otherwise(share)
    return days.withColumn("decay", share)


def main() -> int:
    """Entry point under spark-submit; the exit code of ``icg build-user-embeddings``."""
    return icg([BUILD_USER_EMBEDDINGS, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
