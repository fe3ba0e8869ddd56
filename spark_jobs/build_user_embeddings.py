"""Stage build-user-embeddings: partial sums of the window's days that lack them, then every user's decayed vector.

``icg build-user-embeddings --run-date D`` or ``spark-submit spark_jobs/build_user_embeddings.py --run-date D``: the same
arguments, the same closing line (spark-submit mixes stderr into stdout, so there it is the last line). Reads
clean/impressions, features/items, features/covers; writes features/user_days of each day computed, features/users of the run
date, and features/user_windows where windows are carried. Where segments are told by who clicked what
(features.segment_vectors), the same by collaborative item vectors: features/item_factors, user_taste_days, user_tastes. Knows
where data lies; what is summed is icg_tasks.features.user_vectors'.
"""

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

if __name__ == "__main__":  # spark-submit puts this folder on the path, not the repository
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from pyspark.sql import SparkSession

from icg_tasks.cli import main as icg
from icg_tasks.contracts.partitions import partition_prefix
from icg_tasks.contracts.schemas import USER_DAYS as DAYS_SCHEMA
from icg_tasks.contracts.stages import BUILD_USER_EMBEDDINGS, StageOutcome
from icg_tasks.features.event_weights import checked
from icg_tasks.features.item_factors import item_factors, plan_factors
from icg_tasks.features.shown_vectors import shown_of_days
from icg_tasks.features.spaces import COLLABORATIVE, by_collaboration
from icg_tasks.features.spark_partitions import finish_days
from icg_tasks.features.spark_windows import Change, Totals, write_users
from icg_tasks.features.user_blocks import BlockMaker
from icg_tasks.features.user_vectors import collect_sums, day_facts, day_sum_files
from icg_tasks.features.window import DayPlan, WindowPlan, plan_tastes, plan_window
from icg_tasks.features.window_carry import CarryPlan, plan_carry
from icg_tasks.features.window_sums import carried_scale, own_scale
from icg_tasks.lake.partitions import Partition
from icg_tasks.spark_session import spark_session
from icg_tasks.stage import StageContext

_DAYS_AT_ONCE = 10


def run(context: StageContext) -> StageOutcome:
    """Compute what is missing and write the run date's user vectors: by content, and where asked for by who clicked what."""
    settings, num_buckets = context.settings.features, context.settings.spark.shuffle_partitions
    events, beside = checked(settings.events), by_collaboration(settings.segment_vectors)
    plan = plan_window(context.store, context.run_date, settings.window_days, num_buckets, events)
    # a folder of this run alone: two runs of one date at once must not share what workers map into memory
    with TemporaryDirectory(dir=context.scratch()) as folder, spark_session(context.settings.spark, context.stage) as spark:
        outcome = _vectors(context, spark, plan, Path(folder))
        if beside:
            tastes = _vectors(context, spark, _taste_plan(context, spark), Path(folder))
            counts = {
                f"taste_{name}": tastes.counts[name] for name in ("days_computed", "users", "impressions_without_item_vector")
            }
            outcome = replace(outcome, outputs=outcome.outputs + tastes.outputs, counts=outcome.counts | counts)
    return outcome


def _taste_plan(context: StageContext, spark: SparkSession) -> WindowPlan:
    """The window by collaborative item vectors, which are learned first where their date has come."""
    settings, num_buckets = context.settings.features, context.settings.spark.shuffle_partitions
    factors = plan_factors(context.store, context.run_date, settings, num_buckets)
    context.say(f"collaborative item vectors of {factors.day}{' are there' if factors.found else ': to learn'}")
    items = item_factors(spark, context.store, factors, settings.factors, num_buckets)
    return plan_tastes(context.store, context.run_date, settings.window_days, num_buckets, items, settings.events)


def _vectors(context: StageContext, spark: SparkSession, plan: WindowPlan, folder: Path) -> StageOutcome:
    """One space: partial sums of the days that lack them, then every user's vector."""
    settings, space, missing = context.settings.features, plan.space, plan.missing
    context.say(f"window of {len(plan.days)} days, partial sums to compute for {len(missing)} ({space.days})")
    sums = {day.day: day.sums for day in plan.days if day.sums is not None}
    unplaced = {"impressions_without_item_vector": 0, "impressions_without_cover_vector": 0}
    for start in range(0, len(missing), _DAYS_AT_ONCE):
        chunk = missing[start : start + _DAYS_AT_ONCE]
        sums |= _write_sums(context, spark, plan, chunk, folder, unplaced)
        context.say(f"partial sums of {chunk[0].day} to {chunk[-1].day} written")
        context.stop.check("the days written so far are kept")
    written, totals = _write_users(context, spark, plan, sums)
    outputs = [partition_prefix(space.days, day.day) for day in missing]
    outputs += [partition_prefix(space.users, context.run_date)]
    outputs += [partition_prefix(space.windows, context.run_date)] * settings.carry_window
    counts = {"days": len(plan.days), "days_computed": len(missing), "users": written.rows} | unplaced
    click_rate = totals.clicks / max(totals.impressions, 1)
    figures = {"scale": totals.factor, "click_rate": click_rate, "impressions": totals.impressions, "width": plan.width}
    return StageOutcome(outputs=outputs, counts=counts, figures=figures)


def _write_sums(
    context: StageContext, spark: SparkSession, plan: WindowPlan, days: list[DayPlan], folder: Path, unplaced: dict[str, int]
) -> dict[date, Partition]:
    num_buckets = context.settings.spark.shuffle_partitions
    events, rows = context.settings.features.events, [day.impressions for day in days]
    facts = day_facts(spark, context.store, rows, events)
    used = {day: found.covers for day, found in facts.items()}
    shown = shown_of_days(spark, context.store, plan, days, used, folder)
    rates = {day: found.rates for day, found in facts.items()}
    maker = BlockMaker(events=events, rates=rates, shown=shown, num_buckets=num_buckets)
    files, lost = collect_sums(day_sum_files(spark, context.store, rows, maker, plan.space))
    unplaced["impressions_without_item_vector"] += lost[0]
    unplaced["impressions_without_cover_vector"] += lost[1]
    common = {"encoder": plan.encoder, "width": plan.width, "buckets": num_buckets}
    metadata = {day.day: {"fingerprint": day.fingerprint, **common} for day in days}
    return finish_days(context.store, plan.space.days, metadata, files, schema=DAYS_SCHEMA)


def _write_users(
    context: StageContext, spark: SparkSession, plan: WindowPlan, sums: dict[date, Partition]
) -> tuple[Partition, Totals]:
    settings, run_date = context.settings.features, context.run_date
    num_buckets = context.settings.spark.shuffle_partitions
    carry: CarryPlan | None = None
    if settings.carry_window:
        scale = carried_scale(run_date, settings.half_life_days)
        way = {"encoder": plan.encoder, "width": plan.width, "buckets": num_buckets}
        carry = plan_carry(context.store, run_date, sums, scale, way, plan.space)
        context.say(f"{len(carry.change.added)} days to add, {len(carry.change.removed)} to take away")
    else:
        scale = own_scale(run_date, settings.half_life_days)
    metadata = {
        "encoder": plan.encoder,
        "width": plan.width,
        "window_days": settings.window_days,
        "half_life_days": settings.half_life_days,
        "prior_weight": settings.prior_weight,
        "days": {day.day.isoformat(): day.fingerprint for day in plan.days},
    }
    if plan.space == COLLABORATIVE:
        metadata["factors"] = plan.days[-1].items.run_date.isoformat()
    return write_users(
        spark,
        context.store,
        run_date,
        carry.change if carry else Change(former=None, added=[sums[day] for day in sorted(sums)], removed=[]),
        scale=scale,
        width=plan.width,
        num_buckets=num_buckets,
        prior_weight=settings.prior_weight,
        carried=carry.metadata if carry else None,
        metadata=metadata,
        space=plan.space,
    )


def main() -> int:
    """Entry point under spark-submit; the exit code of ``icg build-user-embeddings``."""
    return icg([BUILD_USER_EMBEDDINGS, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
