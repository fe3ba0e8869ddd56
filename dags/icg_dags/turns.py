"""One day after the other: a run begins when no other is at work and none of an earlier day is open; so days end in order.

A day reads what the days before it left (champions, kept covers, names of segments). Beside each other or out of order,
back-filled days would see now this, now that. So the first task, which decides the date, also waits; it holds no worker then.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import task
from airflow.sdk.bases.sensor import PokeReturnValue
from airflow.sdk.exceptions import AirflowException

from icg_dags.defaults import TURN_LOOK_SECONDS
from icg_dags.run_date import RUN_DATE_TASK, resolve_run_date

_LOG = logging.getLogger("airflow.task")
_OPEN = ["running", "queued"]
_NOT_BEGUN = ["null", "scheduled", "queued", "running", "up_for_reschedule", "up_for_retry", "deferred"]
_SETTLED_SECONDS = 10.0  # by then whoever looked before this run was there has begun, and is seen
_STUCK_SECONDS = 120.0
_STUCK_LOOK_SECONDS = 5.0
_PATIENCE_SECONDS = 30 * 24 * 3600.0


@task.sensor(task_id=RUN_DATE_TASK, mode="reschedule", poke_interval=TURN_LOOK_SECONDS, timeout=_PATIENCE_SECONDS)
def run_date_in_turn(params: dict[str, Any] | None = None, dag_run: Any = None, ti: Any = None) -> PokeReturnValue:
    """The one place that decides the date, once it is this run's turn (at once with the Param ``in_turn`` false)."""
    given = params or {}
    run_date = resolve_run_date(dag_run.conf, given, dag_run.logical_date, dag_run.run_after)
    reason = why_not_yet(ti, dag_run) if given.get("in_turn", True) else ""
    if reason:
        _LOG.info("%s waits: %s", run_date, reason)
    return PokeReturnValue(is_done=not reason, xcom_value=None if reason else run_date)


def why_not_yet(ti: Any, dag_run: Any) -> str:
    """Why it is not this run's turn; empty where it is.

    Raises:
        AirflowException: an earlier day's run stays queued though nobody is at work: behind a limit that waiting runs use up.
    """
    deadline = time.monotonic() + _STUCK_SECONDS
    while True:
        num_open = ti.get_dr_count(dag_run.dag_id, states=_OPEN)
        if num_open <= 1:
            return ""
        if num_open > ti.get_ti_count(dag_run.dag_id, task_ids=[RUN_DATE_TASK], states=_NOT_BEGUN):
            return "another run is at work"
        if earlier := ti.get_previous_dagrun(state="running"):
            return f"{earlier.run_id} is about an earlier day"
        earlier = ti.get_previous_dagrun(state="queued")
        if earlier is None:
            return "" if _age(dag_run) > _SETTLED_SECONDS else "just begun; somebody else may be beginning too"
        if time.monotonic() > deadline:
            raise AirflowException(
                f"{earlier.run_id} is about an earlier day and stays queued; a back-fill that runs backwards needs"
                " --max-active-runs of at least its number of days"
            )
        time.sleep(_STUCK_LOOK_SECONDS)


def _age(dag_run: Any) -> float:
    return float((datetime.now(UTC) - dag_run.start_date).total_seconds())
