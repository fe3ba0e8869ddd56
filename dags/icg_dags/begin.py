"""How every Dag begins: the Params of a run, and the first task, which decides the run's date once for all others."""

from typing import Any

from airflow.sdk import Param, task

from icg_dags.defaults import PROFILE
from icg_dags.run_date import RUN_DATE_TASK, resolve_run_date

PARAMS = {
    "run_date": Param(
        None, type=["null", "string"], format="date", description="the day, where the trigger gives no logical date"
    ),
    "profile": Param(PROFILE, type="string", description="settings profile of every stage"),
    "settings": Param([], type="array", items={"type": "string"}, description="section.field=value, for this run only"),
}


@task(task_id=RUN_DATE_TASK)
def run_date_of_this_run(params: dict[str, Any] | None = None, dag_run: Any = None) -> str:
    """The one place that decides the date."""
    return resolve_run_date(dag_run.conf, params or {}, dag_run.logical_date, dag_run.run_after)
