"""One day after the other: who begins when several runs are open, told without Airflow's machinery."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException
from icg_dags import turns


@dataclass
class Known:
    """What a task instance is told about the Dag's runs: (day of March, state, whether past the first task)."""

    day: int
    runs: list[tuple[int, str, bool]] = field(default_factory=list)

    def get_dr_count(self, dag_id, states):
        return sum(state in states for _, state, _ in self.runs)

    def get_ti_count(self, dag_id, task_ids, states):
        assert task_ids == ["resolve-run-date"]
        return sum(state in {"running", "queued"} and not begun for _, state, begun in self.runs)

    def get_previous_dagrun(self, state):
        earlier = [day for day, found, _ in self.runs if found == state and day < self.day]
        return SimpleNamespace(run_id=f"day-{max(earlier)}") if earlier else None


def run(age_seconds: float = 60.0):
    return SimpleNamespace(dag_id="icg_daily", start_date=datetime.now(UTC) - timedelta(seconds=age_seconds))


def test_lone_run_begins_at_once():
    assert turns.why_not_yet(Known(3, [(3, "running", False), (2, "success", True)]), run(0.0)) == ""


def test_date_is_told_when_it_is_the_runs_turn_and_not_before():
    asked = {"dag_run": run(), "params": {}}
    asked["dag_run"].__dict__.update(conf={}, logical_date=datetime(2026, 3, 3, tzinfo=UTC), run_after=datetime.now(UTC))
    waiting = Known(3, [(3, "running", False), (2, "running", True)])
    told = turns.run_date_in_turn.function(ti=waiting, **asked)
    assert (told.is_done, told.xcom_value) == (False, None)
    told = turns.run_date_in_turn.function(ti=Known(3, [(3, "running", False)]), **asked)
    assert (told.is_done, told.xcom_value) == (True, "2026-03-03")
    asked["params"] = {"in_turn": False}
    assert turns.run_date_in_turn.function(ti=waiting, **asked).is_done


def test_nobody_begins_while_another_is_at_work_whichever_day_it_is_about():
    for other in (2, 4):
        assert "at work" in turns.why_not_yet(Known(3, [(3, "running", False), (other, "running", True)]), run())


def test_earliest_of_those_that_wait_begins():
    runs = [(day, "running", False) for day in (5, 3, 4)]
    assert [turns.why_not_yet(Known(day, runs), run()) == "" for day in (3, 4, 5)] == [True, False, False]


def test_a_run_that_has_just_begun_looks_a_second_time_before_it_overtakes():
    runs = [(4, "running", False), (3, "running", False)]
    assert "just begun" in turns.why_not_yet(Known(3, runs), run(1.0))


def test_a_queued_earlier_day_is_waited_for_and_told_when_it_cannot_begin(monkeypatch):
    monkeypatch.setattr(turns, "_STUCK_SECONDS", 0.05)
    monkeypatch.setattr(turns, "_STUCK_LOOK_SECONDS", 0.01)
    with pytest.raises(AirflowException, match="--max-active-runs"):
        turns.why_not_yet(Known(4, [(4, "running", False), (3, "queued", False)]), run())
