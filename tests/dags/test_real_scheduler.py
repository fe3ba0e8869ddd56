"""A real, headless Airflow with its schedule on and stub commands: scheduled, back-filled, triggered with and without date."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from infra.demo.airflow import DAG_ID, Airflow
from infra.demo.environment import airflow_environment, stage_environment
from infra.demo.options import read_options
from infra.demo.processes import free_ports, stop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def airflow(tmp_path, commands):
    options = read_options(["--home", str(tmp_path / "home")])
    options.home.mkdir()
    environment = airflow_environment(options, stage_environment(options, str(tmp_path / "store"), {}), free_ports(1)[0])
    environment |= {"PATH": os.environ["PATH"], "ICG_SCHEDULE": "0 0 * * *", "AIRFLOW__CORE__PARALLELISM": "4"}
    environment["ICG_TURN_LOOK_SECONDS"] = "5"
    found = Airflow(options, environment)
    try:
        found.migrate()
        found.start()
        found.wait_ready(lambda: None)
        yield found, environment
    finally:
        stop(found.services)


def cli(environment, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def dates_of_reports(commands) -> list[str]:
    return sorted(words.split("--run-date ")[1].split()[0] for words, *_ in commands.calls("report"))


def test_every_way_of_starting_a_run_gets_its_date(airflow, commands):
    _, environment = airflow
    started = datetime.now(UTC)
    cli(environment, "dags", "trigger", DAG_ID)
    cli(environment, "dags", "trigger", DAG_ID, "--logical-date", "2026-03-10")
    cli(environment, "dags", "trigger", DAG_ID, "--conf", json.dumps({"run_date": "2026-03-05"}))
    cli(environment, "backfill", "create", "--dag-id", DAG_ID, "--from-date", "2026-03-01", "--to-date", "2026-03-02")
    expected = sorted(
        [
            (started - timedelta(days=1)).date().isoformat(),  # scheduled: the latest due day
            started.date().isoformat(),  # neither date nor Param: the day of the trigger
            "2026-03-10", "2026-03-05", "2026-03-01", "2026-03-02",
        ]
    )  # fmt: skip
    deadline = time.monotonic() + 900
    while dates_of_reports(commands) != expected and time.monotonic() < deadline:
        time.sleep(3)
    assert dates_of_reports(commands) == expected
