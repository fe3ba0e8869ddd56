"""Whole runs of the Dag with stub commands: which date a run is about, what is retried, what a stage is given."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import ParamValidationError
from airflow.utils.state import DagRunState
from icg_dags.run_date import resolve_run_date

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def dag(airflow_database, commands):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(REPOSITORY / "dags")).dags["icg_daily"]


def states(run) -> dict[str, list[str]]:
    """State of each task, by stage; a mapped task has several."""
    found: dict[str, list[str]] = {}
    for instance in run.get_task_instances():
        found.setdefault(instance.task_id.rpartition(".")[2], []).append(str(instance.state))
    return found


def dates_seen(commands) -> set[str]:
    lines = (commands.folder / "calls").read_text().splitlines()
    assert lines
    return {line.split("--run-date ")[1].split()[0] for line in lines}


def test_run_with_logical_date_is_about_that_date_in_every_stage(dag, commands):
    run = dag.test(logical_date=datetime(2026, 3, 10, tzinfo=UTC))
    assert run.state == DagRunState.SUCCESS
    assert dates_seen(commands) == {"2026-03-10"}
    assert commands.calls("validate-items")[0][2] == "", "Airflow's secrets are none of a stage's business"
    assert len(commands.calls("generate-covers")) == 2
    assert sorted(words.split("--shard ")[1] for words, *_ in commands.calls("generate-covers")) == ["0", "1"]
    assert "--profile tiny" in commands.calls("validate-items")[0][0]
    assert len(commands.calls("assign-segments")) == 1
    assert (
        commands.calls("assign-segments")[0][0].split("spark_jobs/")[1].startswith("assign_segments.py --run-date 2026-03-10")
    )


def test_run_date_param_wins_over_logical_date_and_settings_reach_the_stage(dag, commands):
    conf = {"run_date": "2026-03-08", "settings": ["covers.items_per_segment=3", "world.seed=9"]}
    run = dag.test(logical_date=datetime(2026, 3, 11, tzinfo=UTC), run_conf=conf)
    assert run.state == DagRunState.SUCCESS
    assert dates_seen(commands) == {"2026-03-08"}
    for stage in ("plan-covers", "build-user-embeddings"):
        assert commands.calls(stage)[0][1] == "covers.items_per_segment=3 world.seed=9"


def test_run_without_any_date_is_about_the_day_of_the_trigger(dag, commands):
    run = dag.test(run_after=datetime(2026, 4, 2, 15, tzinfo=UTC), logical_date=None)
    assert run.logical_date is None
    assert run.state == DagRunState.SUCCESS
    assert dates_seen(commands) == {"2026-04-02"}


def test_run_date_that_is_no_date_is_refused_at_the_trigger_and_runs_no_stage(dag, commands):
    with pytest.raises(ParamValidationError, match="2026-13-45"):
        dag.test(logical_date=datetime(2026, 3, 12, tzinfo=UTC), run_conf={"run_date": "2026-13-45"})
    assert not (commands.folder / "calls").exists()


def test_scheduled_run_starts_when_its_day_is_over_and_is_about_that_day(dag):
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction
    from pendulum import datetime as moment

    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    restriction = TimeRestriction(earliest=moment(2026, 3, 10), latest=None, catchup=True)
    planned = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert planned.run_after == moment(2026, 3, 11)
    assert resolve_run_date({}, {"run_date": None}, planned.logical_date, planned.run_after) == "2026-03-10"


def test_refused_gate_is_not_retried_and_stops_the_day(dag, commands):
    commands.fail("validate-impressions", code=3, times=9)
    run = dag.test(logical_date=datetime(2026, 3, 13, tzinfo=UTC))
    found = states(run)
    assert run.state == DagRunState.FAILED
    assert len(commands.calls("validate-impressions")) == 1
    assert found["validate-impressions"] == ["failed"]
    assert found["publish-covers"] == ["upstream_failed"]
    assert commands.calls("embed-items") == []


def test_refused_spark_stage_is_not_retried(dag, commands):
    commands.fail("assign-segments", code=3, times=9)
    run = dag.test(logical_date=datetime(2026, 3, 14, tzinfo=UTC))
    assert run.state == DagRunState.FAILED
    assert len(commands.calls("assign-segments")) == 1


@pytest.mark.parametrize("code", [75, 1])
def test_interrupted_or_failed_stage_is_retried(dag, commands, code):
    commands.fail("train-adapter", code=code, times=2)
    run = dag.test(logical_date=datetime(2026, 3, 15, tzinfo=UTC) + timedelta(days=code))
    assert run.state == DagRunState.SUCCESS
    assert len(commands.calls("train-adapter")) == 3


@pytest.mark.parametrize("shards", ["[]"])
def test_day_whose_covers_are_all_kept_is_published_all_the_same(dag, commands):
    run = dag.test(logical_date=datetime(2026, 3, 16, tzinfo=UTC))
    assert run.state == DagRunState.SUCCESS
    assert commands.calls("generate-covers") == []
    assert len(commands.calls("publish-covers")) == len(commands.calls("report")) == 1
