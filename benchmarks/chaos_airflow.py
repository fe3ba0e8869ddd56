"""A small Airflow on PostgreSQL for benchmarks: started under a supervisor, asked by REST to begin, watched in its database.

The database is asked rather than the server, since either may be dead just now; no answer is no news. Nothing to run here.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import httpx
import psycopg
from botocore.config import Config

from benchmarks.chaos_ground import KEY, SETTINGS
from benchmarks.chaos_services import Kept, Supervisor, airflow_services, database, gateway, run_airflow, stop_gateway
from benchmarks.chaos_warm import make_stand_in
from icg_tasks.contracts.pseudonym import KEY_VARIABLE
from infra.demo.airflow import DAG_ID, POOLS
from infra.demo.environment import airflow_environment, stage_environment
from infra.demo.options import REPOSITORY, read_options
from infra.demo.processes import free_ports

BUCKET = "icg-benchmark"
SOONER = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",  # 300; longer than a busy machine starts an api-server
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",  # 10
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",  # 30
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",  # 300
}
"""How soon somebody's death is noticed; a day of minutes cannot wait as long as one of hours (the defaults, beside)."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task instance as the database tells it."""

    name: str
    state: str
    tries: int
    seconds: float

    @property
    def begun(self) -> bool:
        """Whether it is running or has been."""
        return self.state in {"running", "success", "failed", "up_for_retry", "up_for_reschedule"}


@dataclass(kw_only=True)
class Cluster:
    """A folder, its services and how they are reached."""

    folder: Path
    supervisor: Supervisor
    environment: dict[str, str]
    variables: dict[str, str]
    database: str
    store_uri: str
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20, trust_env=False))

    @property
    def url(self) -> str:
        """Where the api-server answers."""
        return self.environment["AIRFLOW__API__BASE_URL"]

    def ask(self, words: str, *values: object) -> list[tuple[Any, ...]] | None:
        """Rows of a query; None where the database does not answer."""
        return rows_of(self.database, words, *values)

    def tasks(self, run_id: str) -> list[Task] | None:
        """The run's task instances; None: no news."""
        rows = self.ask(
            "select task_id, map_index, coalesce(state, ''), try_number, coalesce(duration, 0) from task_instance"
            " where run_id = %s order by start_date nulls last",
            run_id,
        )
        if rows is None:
            return None
        return [
            Task(name=f"{name}[{index}]" if index >= 0 else name, state=state, tries=tries, seconds=float(seconds))
            for name, index, state, tries, seconds in rows
        ]

    def states(self) -> dict[str, str] | None:
        """State by run; None: no news."""
        rows = self.ask("select run_id, state from dag_run where dag_id = %s", DAG_ID)
        return None if rows is None else dict(rows)

    def days(self) -> dict[str, str]:
        """State of each day's run; empty: no news."""
        rows = self.ask("select to_char(logical_date at time zone 'UTC', 'YYYY-MM-DD'), state from dag_run")
        return dict(rows or [])

    def answers(self) -> bool:
        """Whether the api-server and its database are well."""
        with suppress(httpx.HTTPError, ValueError, KeyError):
            return bool(self.client.get(f"{self.url}/api/v2/monitor/health").json()["metadatabase"]["status"] == "healthy")
        return False

    def store_answers(self) -> bool:
        """Whether the gateway answers."""
        with suppress(httpx.HTTPError):
            return self.client.get(self.variables["AWS_ENDPOINT_URL"]).status_code < 500
        return False

    def trigger(self, day: date) -> str:
        """Begin a day by REST; the run."""
        run_id = f"day__{day}"
        body = {"logical_date": f"{day}T00:00:00Z", "dag_run_id": run_id}
        self._post(f"/api/v2/dags/{DAG_ID}/dagRuns", body).raise_for_status()
        return run_id

    def wait_ready(self) -> None:
        """Until the Dag is known; pools are made then."""
        wait(self.answers, 240, "Airflow does not answer")
        wait(lambda: bool(self.ask("select 1 from dag where dag_id = %s and not is_stale", DAG_ID)), 240, "no Dag")
        for name, (slots, description) in POOLS.items():
            self._post("/api/v2/pools", {"name": name, "slots": slots, "description": description})

    def pause(self, paused: bool) -> None:
        """Hold back, or let go on, whatever is not running yet."""
        answer = self.client.patch(f"{self.url}/api/v2/dags/{DAG_ID}", json={"is_paused": paused}, headers=self._token())
        answer.raise_for_status()

    def command(self, *words: str) -> None:
        """One command of Airflow's."""
        run_airflow(self.environment, self.folder / "logs" / "commands.log", *words)

    def close(self) -> None:
        """Stop everything."""
        self.supervisor.close()
        if (self.folder / "ceph").exists():
            stop_gateway(self.folder / "ceph")

    def _token(self) -> dict[str, str]:
        answer = self.client.get(f"{self.url}/auth/token")
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return self.client.post(f"{self.url}{path}", json=dict(body), headers=self._token())


def rows_of(address: str, words: str, *values: object) -> list[tuple[Any, ...]] | None:
    """Rows of a query to the database at SQLAlchemy's address; None where it does not answer."""
    try:
        with psycopg.connect(address.replace("+psycopg2", ""), connect_timeout=5) as connection:
            return connection.execute(words.encode(), values or None).fetchall()
    except psycopg.Error:
        return None


def wait(ready: Callable[[], bool], seconds: float, message: str, every: float = 0.5) -> None:
    """Until ready; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{message} within {seconds:.0f} s")
        time.sleep(every)


def start(folder: Path, template: Path, *, ceph: bool, modules: Path | None, timetable: str = "") -> Cluster:
    """PostgreSQL, Airflow and, where asked for, Ceph, in this folder; a database made before is gone on with.

    ``modules``: stages are forked off a warm process that has imported these (chaos_warm.py); None: started as everywhere.
    ``timetable``: the Dag's schedule, which back-fills need; it is paused at first then.
    """
    os.environ[KEY_VARIABLE] = KEY
    folder.mkdir(parents=True, exist_ok=True)
    supervisor, store_uri = Supervisor(), str(folder / "store")
    variables: dict[str, str] = {}
    if ceph:
        service, variables = gateway(folder / "ceph")
        supervisor.add(service)
        _make_bucket(variables)
        store_uri = f"s3://{BUCKET}/store"
    keep_template(template)
    if not (folder / "database").exists():
        subprocess.run(["cp", "-a", template, folder / "database"], check=True)
    service, address = database(folder / "database")
    supervisor.add(service)
    words = [word for text in SETTINGS for word in ("--set", text)]
    options = read_options(["--home", str(folder), "--fresh", *words])
    environment = airflow_environment(options, stage_environment(options, store_uri, variables), free_ports(1)[0])
    environment |= {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address, "PYTHONPATH": str(REPOSITORY)} | SOONER
    environment |= {"ICG_SCHEDULE": timetable, "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": str(bool(timetable))}
    cluster = Cluster(
        folder=folder,
        supervisor=supervisor,
        environment=environment,
        variables=variables,
        database=address,
        store_uri=store_uri,
    )
    wait(lambda: cluster.ask("select 1") is not None, 60, "PostgreSQL does not answer")
    if modules is not None:
        supervisor.add(_warm(folder, modules, environment))
        wait((folder / "warm").exists, 240, "the warm process does not listen")
        environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    for service in airflow_services(environment, folder / "logs"):
        supervisor.add(service)
    return cluster


def keep_template(template: Path) -> None:
    """A migrated database to begin with, made once."""
    if template.exists():
        return
    part = template.with_suffix(".part")
    wipe(part)
    supervisor = Supervisor()
    service, address = database(part)
    supervisor.add(service)
    try:
        options = read_options(["--home", str(template.parent / "home")])
        options.home.mkdir(parents=True, exist_ok=True)
        environment = airflow_environment(options, stage_environment(options, "", {}), free_ports(1)[0])
        environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = address
        wait(lambda: rows_of(address, "select 1") is not None, 60, "PostgreSQL does not answer")
        run_airflow(environment, template.parent / "migrate.log", "db", "migrate", tries=3)
    finally:
        supervisor.close()
    part.rename(template)


def _warm(folder: Path, modules: Path, environment: Mapping[str, str]) -> Kept:
    path = folder / "warm"
    path.unlink(missing_ok=True)
    make_stand_in(folder / "bin", path)
    words = [sys.executable, "-m", "benchmarks.chaos_warm", str(path), str(modules)]
    return Kept("warm", words, dict(environment), folder / "logs" / "warm.log")


def _make_bucket(variables: Mapping[str, str]) -> None:
    os.environ.update(variables)  # this process reads the store too
    client = boto3.client(
        "s3", config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 10, "mode": "standard"})
    )
    client.create_bucket(Bucket=BUCKET)


def wipe(folder: Path) -> None:
    """Remove a folder of an earlier day."""
    shutil.rmtree(folder, ignore_errors=True)
