"""Every night: users who asked are forgotten, what is past its time goes. For operators: icg_dags/icg_housekeeping.md."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, task
from airflow.sdk.exceptions import AirflowSkipException
from icg_dags.begin import PARAMS, run_date_of_this_run
from icg_dags.defaults import DEFAULT_ARGUMENTS, HOUSEKEEPING_SCHEDULE
from icg_dags.stages import stage_task

from icg_tasks.contracts import stages

with DAG(
    dag_id="icg_housekeeping",
    description="Retention, erasure, garbage: a list first, then the deletion",
    doc_md=(Path(__file__).parent / "icg_dags" / "icg_housekeeping.md").read_text(encoding="utf-8"),
    schedule=CronDataIntervalTimetable(HOUSEKEEPING_SCHEDULE, timezone="UTC") if HOUSEKEEPING_SCHEDULE else None,
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGUMENTS,
    params={
        **PARAMS,
        "dry_run": Param(False, type="boolean", description="stop at the lists: delete nothing, forget nobody"),
    },
    tags=["icg"],
) as dag:

    @task(task_id="stop-here-if-dry", retries=0)
    def stop_here_if_dry(params: dict[str, Any] | None = None) -> None:
        """Skips everything behind it in a dry run."""
        if (params or {}).get("dry_run"):
            raise AirflowSkipException("dry run: see what the two tasks before this one would have deleted")

    run_date = run_date_of_this_run()
    lists = [
        stage_task(stage, task_id=f"{stage}-list", words=("--dry-run",))
        for stage in (stages.HOUSEKEEPING, stages.COLLECT_COVERS)
    ]
    go = stop_here_if_dry()
    erase, housekeeping, collect = (
        stage_task(stage, trigger_rule="all_success") for stage in (stages.ERASE, stages.HOUSEKEEPING, stages.COLLECT_COVERS)
    )

    run_date >> lists >> go >> erase >> housekeeping >> collect
