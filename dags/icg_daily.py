"""The day: checks the logs, learns from them, makes, publishes and measures covers. For operators: icg_dags/icg_daily.md.

Imports Airflow and the names of things, nothing heavy. The last lines state the graph.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TaskGroup, task
from icg_dags.begin import PARAMS
from icg_dags.defaults import ARRIVAL_DEADLINE_HOURS, DEFAULT_ARGUMENTS, GENERATOR, POOL_GPU, POOL_SPARK, SCHEDULE
from icg_dags.parts import PARTS
from icg_dags.stages import mapped_stage_task, spark_task, stage_task
from icg_dags.turns import run_date_in_turn
from icg_dags.waiting import arrival_task

from icg_tasks.contracts import stages

with DAG(
    dag_id="icg_daily",
    description="Interaction logs in, personalised covers out",
    doc_md=(Path(__file__).parent / "icg_dags" / "icg_daily.md").read_text(encoding="utf-8"),
    # A day's run starts when the day is over, and its logical date is that day.
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC") if SCHEDULE else None,
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=16,  # they wait for their turn in the first task: one at work, the earliest day first
    default_args=DEFAULT_ARGUMENTS,
    params={
        **PARAMS,
        "in_turn": Param(True, type="boolean", description="wait for open runs of earlier days; false: begin at once"),
        "only": Param(None, type=["null", "string"], enum=[None, *PARTS], description="this part of the day alone"),
    },
    tags=["icg"],
) as dag:

    @task(task_id="shards")
    def shards_of(plan: Any) -> list[int]:
        """Shard numbers that the plan asks for; none where every cover could be kept."""
        return [int(shard) for shard in plan["figures"]["shards"]]

    run_date = run_date_in_turn()

    with TaskGroup("intake"):
        validate_items = stage_task(stages.VALIDATE_ITEMS)
        validate_impressions = stage_task(stages.VALIDATE_IMPRESSIONS)
    with TaskGroup("features"):
        embed_items = stage_task(stages.EMBED_ITEMS)
        build_user_embeddings = spark_task(stages.BUILD_USER_EMBEDDINGS, pool=POOL_SPARK)
        assign_segments = spark_task(stages.ASSIGN_SEGMENTS, pool=POOL_SPARK)
    with TaskGroup("models"):
        train_preference = stage_task(stages.TRAIN_PREFERENCE, pool=POOL_GPU)
        trainings = {stage: stage_task(stage, pool=POOL_GPU) for stage in stages.trainings_of(GENERATOR)}
    with TaskGroup("covers"):
        plan_covers = stage_task(stages.PLAN_COVERS)
        shards = shards_of(plan_covers.output)
        generate_covers = mapped_stage_task(stages.GENERATE_COVERS, shards, pool=POOL_GPU)
        # A day whose every cover is kept has no shard: its mapped task is skipped, and the manifest is published all the same.
        publish_covers = stage_task(stages.PUBLISH_COVERS)
    with TaskGroup("report"):
        evaluate = stage_task(stages.EVALUATE, pool=POOL_GPU)
        report = stage_task(stages.REPORT)

    first = run_date
    if ARRIVAL_DEADLINE_HOURS:
        first = arrival_task()
        run_date >> first
    first >> validate_items >> validate_impressions >> embed_items >> build_user_embeddings >> assign_segments
    if stages.TRAIN_ADAPTER in trainings:
        adapt_denoiser, train_adapter = trainings[stages.ADAPT_DENOISER], trainings[stages.TRAIN_ADAPTER]
        assign_segments >> [train_preference, adapt_denoiser] >> train_adapter >> plan_covers
    if stages.TRAIN_PIGEON in trainings:  # learns from clicks and covers alone, beside the preference model
        assign_segments >> [train_preference, trainings[stages.TRAIN_PIGEON]] >> plan_covers
    plan_covers >> shards >> generate_covers >> publish_covers
    # Needs models alone. Behind the plan, so that shards are queued first: they weigh more, having more behind them.
    shards >> evaluate
    [publish_covers, evaluate] >> report
