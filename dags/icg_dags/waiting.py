"""Waits for late upstream data without holding a worker, up to a deadline; then the day goes on with what there is, or fails.

The looking is a stage (`icg arrived`), so it runs where stages run and Airflow needs no access to the store. Between two
looks the task is deferred to the triggerer.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from icg_dags.defaults import ARRIVAL_DEADLINE_HOURS, ARRIVAL_LOOK_SECONDS, ARRIVAL_TOO_LATE
from icg_dags.stages import COMMON, stage_operator
from icg_tasks.contracts import stages

GO_ON, FAIL = "go-on", "fail"


def arrival_task(**options: Any) -> Any:
    """The waiting task, as a process or a pod like every other stage."""
    if ARRIVAL_TOO_LATE not in {GO_ON, FAIL}:
        raise ValueError(f"ICG_ARRIVAL_TOO_LATE={ARRIVAL_TOO_LATE!r}: expected {GO_ON} or {FAIL}")
    return _waiting(stage_operator())(task_id=stages.ARRIVED, stage=stages.ARRIVED, **COMMON, **options)


def deadline_of(run_date: str) -> datetime:
    """Until when a day's data is waited for: so many hours after the day has ended (UTC)."""
    ended = datetime.combine(date.fromisoformat(run_date), datetime.min.time(), tzinfo=UTC) + timedelta(days=1)
    return ended + timedelta(hours=ARRIVAL_DEADLINE_HOURS)


def _waiting(operator: Any) -> Any:
    class WaitForArrival(operator):  # type: ignore[misc]
        """Looks; where data is missing and the deadline is not past, looks again later."""

        def execute(self, context: Any) -> Any:
            """The stage's closing line once everything is there, or the deadline is past and the day goes on."""
            line = super().execute(context)
            missing = line["figures"]["missing"]
            deadline = deadline_of(str(self.run_date))
            if not missing:
                return line
            if datetime.now(UTC) < deadline:
                self.log.info("%s not there yet; waiting until %s", ", ".join(missing), deadline)
                return self._wait(min(datetime.now(UTC) + timedelta(seconds=ARRIVAL_LOOK_SECONDS), deadline))
            if ARRIVAL_TOO_LATE == FAIL:
                raise AirflowFailException(f"{', '.join(missing)} for {self.run_date} did not arrive until {deadline}")
            self.log.warning("%s for %s did not arrive until %s: going on", ", ".join(missing), self.run_date, deadline)
            return line

        def look_again(self, context: Any, event: Any = None) -> Any:
            """Back from the triggerer."""
            return self.execute(context)

        def _wait(self, moment: datetime) -> None:
            from airflow.providers.standard.triggers.temporal import DateTimeTrigger

            self.defer(trigger=DateTimeTrigger(moment=moment), method_name="look_again")

    return WaitForArrival
