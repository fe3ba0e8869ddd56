"""The figures of a day against the trailing weeks, kept where the report finds them: reports/quality/ds=D/<data set>.json.

The same files are the past of later days. Knows JSON and dates; what figures there are is the data set's business.
"""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.contracts.partitions import QUALITY, partition_prefix
from icg_tasks.intake.anomalies import Figure, Finding, judge_figures
from icg_tasks.intake.versions import version_of
from icg_tasks.intake.windows import days_before
from icg_tasks.lake.store import ObjectStore


def quality_key(dataset: str, day: date) -> str:
    """Where a day's figures lie.

    >>> quality_key("items", date(2026, 3, 1))
    'reports/quality/ds=2026-03-01/items.json'
    """
    return f"{partition_prefix(QUALITY, day)}/{dataset}.json"


def profile_day(
    store: ObjectStore,
    dataset: str,
    day: date,
    figures: Sequence[Figure],
    settings: IntakeSettings,
    *,
    remarks: Sequence[str],
    docs: str,
) -> list[Finding]:
    """Judge the day's figures by the past and write both down."""
    found = judge_figures(figures, _past(store, dataset, day, settings.trailing_days), settings)
    body: dict[str, Any] = {
        "data_set": dataset,
        "ds": day.isoformat(),
        "suite": version_of(dataset),
        "figures": {figure.name: figure.value for figure in figures},
        "findings": [finding.as_json() for finding in found],
        "remarks": list(remarks),
        "data_docs": docs,
    }
    store.put(quality_key(dataset, day), json.dumps(body, sort_keys=True, indent=1, allow_nan=False).encode())
    return found


def _past(store: ObjectStore, dataset: str, day: date, count: int) -> list[dict[str, float]]:
    found = (store.get_with_etag(quality_key(dataset, past)) for past in days_before(day, count))
    return [json.loads(entry[0])["figures"] for entry in found if entry is not None]
