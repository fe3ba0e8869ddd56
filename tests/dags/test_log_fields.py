"""Lines of a stage carry stage and run date as fields: in Airflow's task log, and in JSON where a collector reads pods."""

import json
import os
import subprocess
import sys

import pytest
from icg_dags.local_stage import StageOperator, stage_environment
from icg_dags.outcome import closing_line
from structlog.contextvars import get_contextvars

SAYS = """
from datetime import date
from icg_tasks.config import load_settings
from icg_tasks.lake.store import open_store
from icg_tasks.stage import StageContext
settings = load_settings("tiny", [], environ={})
StageContext(stage="embed-items", run_date=date(2026, 3, 10), settings=settings, store=open_store("/tmp/nowhere")).say("so far")
"""


def test_lines_of_a_process_are_logged_with_stage_and_run_date(airflow_database, commands, monkeypatch):
    seen = []
    monkeypatch.setattr(StageOperator, "_listen", lambda self, pipe, words: seen.append((get_contextvars(), pipe.read())))
    StageOperator(task_id="embed-items", stage="embed-items", run_date="2026-03-10", profile="tiny").execute({})
    [(fields, said)] = seen
    assert (fields["stage"], fields["run_date"]) == ("embed-items", "2026-03-10")
    assert "working on embed-items" in said


def test_keys_of_whoever_takes_lineage_are_no_stages_business(monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "of somebody")
    monkeypatch.setenv("ICG_STORE", "/store")
    found = stage_environment("")
    assert found["ICG_STORE"] == "/store"
    assert "OPENLINEAGE_API_KEY" not in found


@pytest.mark.parametrize("form", ["", "json"])
def test_progress_lines_are_words_or_json(form):
    done = subprocess.run(
        [sys.executable, "-c", SAYS], env=os.environ | {"ICG_LOG_FORMAT": form}, capture_output=True, text=True, check=True
    )
    [line] = done.stderr.splitlines()
    if form == "":
        assert line.startswith("[embed-items 2026-03-10 ")
        return
    found = json.loads(line)
    assert (found["stage"], found["run_date"], found["message"]) == ("embed-items", "2026-03-10", "so far")


def test_progress_line_in_json_is_no_closing_line():
    closing = {"stage": "report", "run_date": "", "seconds": 1, "outputs": [], "counts": {}, "figures": {}}
    lines = [json.dumps(closing), json.dumps({"stage": "report", "message": "late on stderr"})]
    assert closing_line("report", lines) == closing
