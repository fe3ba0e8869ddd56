"""One factory per way of running: `stage_task`, `spark_task` for Spark stages, `mapped_stage_task` over shards.

The one place that chooses between a local process and a pod.
"""

from dataclasses import dataclass
from typing import Any

from airflow.sdk import BaseOperator

from icg_dags.defaults import EXECUTION, IMAGE_PREFIX, IMAGE_TAG
from icg_dags.local_stage import StageOperator
from icg_dags.spark_stage import SparkStageOperator
from icg_tasks.contracts import stages

# Templates: every task reads the date that the first task resolved, and this run's Params.
RUN_DATE_TASK = "resolve-run-date"
_COMMON = {
    "run_date": "{{ ti.xcom_pull(task_ids='" + RUN_DATE_TASK + "') }}",
    "profile": "{{ params.profile }}",
    "settings": "{{ params.settings | join(' ') }}",
}


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a stage's pod is given. ``image`` is a name below ICG_IMAGE_PREFIX."""

    image: str
    cpu: str
    memory: str
    gpu: int = 0

    def pod_options(self) -> dict[str, Any]:
        """As options of StagePod."""
        resources = {"cpu": self.cpu, "memory": self.memory}
        if self.gpu:
            resources["nvidia.com/gpu"] = str(self.gpu)
        return {"image": f"{IMAGE_PREFIX}-{self.image}:{IMAGE_TAG}", "resources": resources}


NEEDS = {
    stages.VALIDATE_ITEMS: Needs(image="validation", cpu="2", memory="8Gi"),
    stages.VALIDATE_IMPRESSIONS: Needs(image="validation", cpu="4", memory="32Gi"),
    stages.EMBED_ITEMS: Needs(image="training", cpu="8", memory="32Gi", gpu=1),
    stages.TRAIN_PREFERENCE: Needs(image="training", cpu="8", memory="64Gi", gpu=1),
    stages.ADAPT_DENOISER: Needs(image="training", cpu="8", memory="64Gi", gpu=1),
    stages.TRAIN_ADAPTER: Needs(image="training", cpu="8", memory="64Gi", gpu=1),
    stages.PLAN_COVERS: Needs(image="training", cpu="2", memory="8Gi"),
    stages.GENERATE_COVERS: Needs(image="training", cpu="8", memory="64Gi", gpu=1),
    stages.PUBLISH_COVERS: Needs(image="training", cpu="2", memory="8Gi"),
    stages.EVALUATE: Needs(image="training", cpu="8", memory="64Gi", gpu=1),
    stages.REPORT: Needs(image="training", cpu="2", memory="8Gi"),
}


def stage_task(stage: str, **options: Any) -> BaseOperator:
    """A task that runs one stage; its id is the stage's name."""
    operator, more = _operator(stage)
    made: BaseOperator = operator(task_id=stage, stage=stage, **_COMMON, **more, **options)
    return made


def mapped_stage_task(stage: str, shards: Any, **options: Any) -> Any:
    """A task per shard; ``shards`` is an XComArg of shard numbers."""
    operator, more = _operator(stage)
    return operator.partial(task_id=stage, stage=stage, **_COMMON, **more, **options).expand(shard=shards)


def spark_task(stage: str, **options: Any) -> BaseOperator:
    """A task that spark-submits one Spark stage, under either way of running."""
    return SparkStageOperator(task_id=stage, stage=stage, **_COMMON, **options)


def _operator(stage: str) -> tuple[Any, dict[str, Any]]:
    if EXECUTION == "local":
        return StageOperator, {}
    if EXECUTION == "kubernetes":
        from icg_dags.pod_stage import StagePod

        return StagePod, NEEDS[stage].pod_options()
    raise ValueError(f"ICG_EXECUTION={EXECUTION!r}: expected local or kubernetes")
