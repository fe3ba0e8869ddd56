"""Which part of a day a stage belongs to, and whether a run that asks for one part alone (`only`) wants it.

Imports the names of stages and Airflow's word for skipping.
"""

from airflow.sdk.exceptions import AirflowSkipException

from icg_tasks.contracts import stages

FEATURES, MODELS, COVERS, REPORT = PARTS = ("features", "models", "covers", "report")
_PART_OF = {
    **dict.fromkeys((stages.VALIDATE_ITEMS, stages.VALIDATE_IMPRESSIONS, stages.EMBED_ITEMS), FEATURES),
    **dict.fromkeys((stages.BUILD_USER_EMBEDDINGS, stages.ASSIGN_SEGMENTS), FEATURES),
    stages.TRAIN_PREFERENCE: MODELS,
    **dict.fromkeys((stage for trainings in stages.TRAININGS.values() for stage in trainings), MODELS),
    **dict.fromkeys((stages.PLAN_COVERS, stages.GENERATE_COVERS, stages.PUBLISH_COVERS), COVERS),
    **dict.fromkeys((stages.EVALUATE, stages.REPORT), REPORT),
}


def is_wanted(stage: str, only: str) -> bool:
    """Whether a run with this ``only`` (empty: the whole day) runs the stage. Stages outside the day always run.

    >>> is_wanted("train-adapter", "models"), is_wanted("train-adapter", "covers"), is_wanted("train-adapter", "")
    (True, False, True)
    """
    return not only or _PART_OF.get(stage, only) == only


def skip_unless_wanted(stage: str, only: str) -> None:
    """Raises AirflowSkipException where this run asks for another part."""
    if not is_wanted(stage, only):
        raise AirflowSkipException(f"this run asks for {only} alone")
