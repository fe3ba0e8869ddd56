"""Which day a run is about. Resolved once, in a Dag's first task; every stage then gets the same date.

Works for scheduled runs, `airflow dags trigger` with a logical date, with a `run_date` Param (or conf), with neither, and for
backfills. A triggered run may have no logical date and no data interval, so neither `{{ ds }}` nor the interval is used.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

RUN_DATE_TASK = "resolve-run-date"


def resolve_run_date(
    conf: Mapping[str, Any] | None, params: Mapping[str, Any], logical_date: datetime | None, run_after: datetime
) -> str:
    """The run date, YYYY-MM-DD: conf's `run_date`, else the Param, else the logical date, else the moment of the trigger (UTC).

    Raises:
        AirflowFailException: a `run_date` was given and is not a date.

    >>> resolve_run_date({}, {"run_date": None}, datetime(2026, 3, 10), datetime(2026, 11, 1, 7))
    '2026-03-10'
    >>> resolve_run_date({"run_date": "2026-03-08"}, {}, datetime(2026, 3, 10), datetime(2026, 11, 1, 7))
    '2026-03-08'
    """
    asked = (conf or {}).get("run_date") or params.get("run_date")
    if not asked:
        return (logical_date or run_after).date().isoformat()
    try:
        return datetime.strptime(str(asked), "%Y-%m-%d").date().isoformat()
    except ValueError:
        message = (
            f'run_date {asked!r} is not a date; trigger again with YYYY-MM-DD, e.g. --conf \'{{"run_date": "2026-03-10"}}\''
        )
        raise AirflowFailException(message) from None
