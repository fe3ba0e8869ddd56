"""Settings of the orchestration, read from the environment at parse time, and what every task of a Dag has in common."""

import json
import os
from datetime import timedelta
from typing import Any

from icg_dags.needs import read_pod_settings

EXECUTION = os.environ.get("ICG_EXECUTION", "local")  # local: a process of the worker; kubernetes: a pod per stage
IMAGE_PREFIX = os.environ.get("ICG_IMAGE_PREFIX", "icg-covers")  # <prefix>-<image>:<tag>, see needs.py
IMAGE_TAG = os.environ.get("ICG_IMAGE_TAG", "0.1.0")
IMAGES = json.loads(os.environ.get("ICG_IMAGES", "{}"))  # name to whole address, by digest: what a release deploys
PODS = read_pod_settings(os.environ.get("ICG_PODS", ""))
SCHEDULE = os.environ.get("ICG_SCHEDULE", "0 0 * * *")  # cron, UTC; empty: only by hand (the demo)
# Not at night's change of days, when the daily run starts; empty: only by hand.
HOUSEKEEPING_SCHEDULE = os.environ.get("ICG_HOUSEKEEPING_SCHEDULE", "0 15 * * *")
PROFILE = os.environ.get("ICG_PROFILE", "tiny")
GENERATOR = os.environ.get("ICG_GENERATOR", "icg")  # icg | pigeon | icg,pigeon: whose trainings a day has

# Made by the demo; elsewhere once: airflow pools set gpu 1 "…" and airflow pools set spark 1 "…"
POOL_GPU = "gpu"
POOL_SPARK = "spark"

TURN_LOOK_SECONDS = float(os.environ.get("ICG_TURN_LOOK_SECONDS", "60"))  # of a run that waits for an earlier day's

# Waiting for late raw data; without a deadline a day starts with what there is.
ARRIVAL_DEADLINE_HOURS = float(os.environ.get("ICG_ARRIVAL_DEADLINE_HOURS", "0"))  # after the day's end; 0: no waiting
ARRIVAL_LOOK_SECONDS = float(os.environ.get("ICG_ARRIVAL_LOOK_SECONDS", "600"))
ARRIVAL_TOO_LATE = os.environ.get("ICG_ARRIVAL_TOO_LATE", "fail")  # fail | go-on

# What the cluster does to a pod (evicted, pre-empted, no room, image not pulled) is tried again so often within one try.
INFRASTRUCTURE_RETRIES = int(os.environ.get("ICG_INFRASTRUCTURE_RETRIES", "20"))
INFRASTRUCTURE_DELAY_SECONDS = float(os.environ.get("ICG_INFRASTRUCTURE_DELAY_SECONDS", "30"))  # doubles up to 16 times this

DEFAULT_ARGUMENTS: dict[str, Any] = {
    "owner": "icg-covers",
    "retries": 2,
    "retry_delay": timedelta(seconds=float(os.environ.get("ICG_RETRY_DELAY_SECONDS", "60"))),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(hours=6),
}


def image_of(name: str) -> str:
    """Address of an image: the pinned one where the release names it, else by prefix and tag.

    >>> image_of("validation")
    'icg-covers-validation:0.1.0'
    """
    return str(IMAGES.get(name) or f"{IMAGE_PREFIX}-{name}:{IMAGE_TAG}")
