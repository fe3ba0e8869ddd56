"""One factory per way of running: `stage_task`, `spark_task` for Spark stages, `mapped_stage_task` over shards.

The one place that chooses between a local process and a pod.
"""

from typing import Any

from airflow.sdk import BaseOperator

from icg_dags.defaults import EXECUTION
from icg_dags.local_stage import StageOperator
from icg_dags.run_date import RUN_DATE_TASK
from icg_dags.spark_stage import SparkStageOperator

# Templates: every task reads the date that the first task resolved, and this run's Params.
COMMON = {
    "run_date": "{{ ti.xcom_pull(task_ids='" + RUN_DATE_TASK + "') }}",
    "profile": "{{ params.profile }}",
    "settings": "{{ params.settings | join(' ') }}",
    "only": "{{ params.get('only') or '' }}",
}

# A run that asks for one part of the day skips the others; what comes behind a skipped part still runs.
AFTER_SKIPPED = {"trigger_rule": "none_failed"}


def stage_task(stage: str, **options: Any) -> BaseOperator:
    """A task that runs one stage; its id is the stage's name."""
    made: BaseOperator = stage_operator()(**({"task_id": stage, "stage": stage} | COMMON | AFTER_SKIPPED | options))
    return made


def mapped_stage_task(stage: str, shards: Any, **options: Any) -> Any:
    """A task per shard; ``shards`` is an XComArg of shard numbers. Skipped where that one was."""
    return stage_operator().partial(task_id=stage, stage=stage, **COMMON, **options).expand(shard=shards)


def spark_task(stage: str, **options: Any) -> BaseOperator:
    """A task that spark-submits one Spark stage, under either way of running: the connection says where it runs."""
    return SparkStageOperator(task_id=stage, stage=stage, **COMMON, **AFTER_SKIPPED, **options)


def stage_operator() -> Any:
    """The operator of this installation's way of running."""
    if EXECUTION == "local":
        return StageOperator
    if EXECUTION == "kubernetes":
        from icg_dags.pod_stage import StagePod

        return StagePod
    raise ValueError(f"ICG_EXECUTION={EXECUTION!r}: expected local or kubernetes")
