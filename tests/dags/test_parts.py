"""A part of the day alone, late data, housekeeping: whole runs of the Dags with stub commands."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.utils.state import DagRunState

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES = {
    "features": {"validate-items", "validate-impressions", "embed-items", "build-user-embeddings", "assign-segments"},
    "models": {"train-preference", "adapt-denoiser", "train-adapter"},
    "covers": {"plan-covers", "generate-covers", "publish-covers"},
}


@pytest.fixture
def dags(airflow_database, commands):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(REPOSITORY / "dags")).dags


def stages_run(commands) -> set[str]:
    """Stages that were called."""
    path = commands.folder / "calls"
    return {line.split("|")[0] for line in path.read_text().splitlines()} if path.exists() else set()


@pytest.mark.parametrize(("only", "day"), [("features", 1), ("models", 2), ("covers", 3)])
def test_only_the_asked_part_runs(dags, commands, only, day):
    run = dags["icg_daily"].test(logical_date=datetime(2026, 6, day, tzinfo=UTC), run_conf={"only": only})
    assert run.state == DagRunState.SUCCESS
    assert stages_run(commands) == STAGES[only]


def test_housekeeping_lists_before_it_deletes(dags, commands):
    run = dags["icg_housekeeping"].test(logical_date=datetime(2026, 6, 1, tzinfo=UTC))
    assert run.state == DagRunState.SUCCESS
    words = [call[0] for stage in ("housekeeping", "collect-covers") for call in commands.calls(stage)]
    assert len(words) == 4
    assert ["--dry-run" in text for text in words] == [True, False, True, False]
    assert len(commands.calls("erase")) == 1


def test_dry_run_stops_at_the_lists(dags, commands):
    run = dags["icg_housekeeping"].test(logical_date=datetime(2026, 6, 2, tzinfo=UTC), run_conf={"dry_run": True})
    assert run.state == DagRunState.SUCCESS
    assert stages_run(commands) == {"housekeeping", "collect-covers"}
    assert all("--dry-run" in call[0] for stage in stages_run(commands) for call in commands.calls(stage))


def test_deadline_counts_from_the_days_end(monkeypatch):
    from icg_dags import waiting

    monkeypatch.setattr(waiting, "ARRIVAL_DEADLINE_HOURS", 5.0)
    assert waiting.deadline_of("2026-03-10") == datetime(2026, 3, 11, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("missing", "hours_left", "too_late", "expected"),
    [
        ([], 5, "fail", "goes on"),
        (["raw/items"], 5, "fail", "waits"),
        (["raw/items"], -5, "go-on", "goes on"),
        (["raw/items"], -5, "fail", "fails"),
    ],
)
def test_late_data_is_waited_for_until_the_deadline(airflow_database, monkeypatch, missing, hours_left, too_late, expected):
    from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
    from icg_dags import waiting
    from icg_dags.local_stage import StageOperator

    moment = datetime.now(UTC) + timedelta(hours=hours_left)
    monkeypatch.setattr(waiting, "deadline_of", lambda _: moment)
    monkeypatch.setattr(waiting, "ARRIVAL_TOO_LATE", too_late)
    monkeypatch.setattr(StageOperator, "execute", lambda self, context: {"figures": {"missing": missing}})
    task = waiting.arrival_task()
    if expected == "goes on":
        assert task.execute({})["figures"]["missing"] == missing
        return
    with pytest.raises(TaskDeferred if expected == "waits" else AirflowFailException) as caught:
        task.execute({})
    if expected == "waits":
        assert caught.value.trigger.moment <= moment
        assert caught.value.method_name == "look_again"
