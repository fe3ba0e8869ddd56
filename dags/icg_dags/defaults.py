"""Settings of the orchestration, read from the environment at parse time, and what every task of a Dag has in common."""

import os
from datetime import timedelta
from typing import Any

EXECUTION = os.environ.get("ICG_EXECUTION", "local")  # local: a process of the worker; kubernetes: a pod per stage
IMAGE_PREFIX = os.environ.get("ICG_IMAGE_PREFIX", "icg-covers")  # <prefix>-<image>:<tag>, see stages.py
IMAGE_TAG = os.environ.get("ICG_IMAGE_TAG", "0.1.0")
SCHEDULE = os.environ.get("ICG_SCHEDULE", "0 0 * * *")  # cron, UTC; empty: only by hand (the demo)
PROFILE = os.environ.get("ICG_PROFILE", "tiny")

# Made by the demo; elsewhere once: airflow pools set gpu 1 "…" and airflow pools set spark 1 "…"
POOL_GPU = "gpu"
POOL_SPARK = "spark"

DEFAULT_ARGUMENTS: dict[str, Any] = {
    "owner": "icg-covers",
    "retries": 2,
    "retry_delay": timedelta(seconds=float(os.environ.get("ICG_RETRY_DELAY_SECONDS", "60"))),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(hours=6),
}
