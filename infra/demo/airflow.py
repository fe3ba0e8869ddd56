"""Airflow, headless: api-server, scheduler and dag-processor as three processes; trigger by its command line, watch by REST."""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from infra.demo.options import DemoFailed, Options
from infra.demo.processes import Service, run_logged, tail

DAG_ID = "icg_daily"
POOLS = {"gpu": (2, "stages that train or draw: one core each here"), "spark": (1, "Spark jobs at a time")}
_START_SECONDS = 180
_ENDED = {"success", "failed"}


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """One task instance as REST tells it; ``map_index`` is -1 for a task that is not mapped."""

    task_id: str
    map_index: int
    state: str
    seconds: float | None
    tries: int

    @property
    def stage(self) -> str:
        """The stage's name, without its group."""
        return self.task_id.rpartition(".")[2]


class Airflow:
    """One Airflow of this demo. ``start`` returns at once; ``wait_ready`` when the Dag can be triggered."""

    def __init__(self, options: Options, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._logs = options.home / "logs"
        self._home = options.home / "airflow"
        self.url = environment["AIRFLOW__API__BASE_URL"]
        self.services: list[Service] = []
        self._client = httpx.Client(base_url=self.url, timeout=20, trust_env=False)

    def migrate(self) -> bool:
        """Make the database where there is none; whether it was made."""
        made = self._home / "migrated"
        if made.exists():
            return False
        run_logged("airflow db migrate", [*_cli(), "db", "migrate"], self._environment, self._logs / "migrate.log")
        with sqlite3.connect(self._home / "airflow.db") as database:
            database.execute(
                "PRAGMA journal_mode=WAL"
            )  # kept in the file: readers and the one writer do not wait for each other
        database.close()
        made.touch()
        return True

    def start(self) -> None:
        """Start the three processes."""
        port = self._environment["AIRFLOW__API__PORT"]
        commands = {
            "api-server": ["api-server", "--host", "127.0.0.1", "--port", port, "--workers", "1"],
            "scheduler": ["scheduler", "--skip-serve-logs"],  # its log server would listen to every address
            "dag-processor": ["dag-processor"],
        }
        for name, words in commands.items():
            self.services.append(Service(name, [*_cli(), *words], self._environment, self._logs / f"{name}.log"))

    def wait_ready(self, tick: Callable[[], None]) -> None:
        """Until all three are healthy and the Dag is known; raises DemoFailed with what the Dag's import said."""
        self._wait(self._is_healthy, "Airflow did not become healthy", tick)
        self._client.headers["Authorization"] = f"Bearer {self._token()}"
        for name, (slots, description) in POOLS.items():
            body = {"name": name, "slots": slots, "description": description}
            self._client.post("/api/v2/pools", json=body)
        self._wait(self._knows_dag, f"Airflow does not know the Dag {DAG_ID}", tick)

    def trigger(self, run_date: date) -> tuple[str, bool]:
        """`airflow dags trigger`; run id, and whether the date had a run before (Airflow allows one run per logical date)."""
        known = self._get(
            f"/api/v2/dags/{DAG_ID}/dagRuns", limit=1, logical_date_gte=_at(run_date, 0), logical_date_lte=_at(run_date, 23)
        )
        again = bool(known["total_entries"])
        going = self._get(f"/api/v2/dags/{DAG_ID}/dagRuns", limit=20, order_by="-id", run_id_pattern=f"demo__{run_date}__")
        for run in going["dag_runs"]:
            if run["state"] in {"running", "queued"} and run["dag_run_id"].startswith(f"demo__{run_date}__"):
                return str(run["dag_run_id"]), False  # left unfinished by a demo that was interrupted: it goes on by itself
        number = self._get(f"/api/v2/dags/{DAG_ID}/dagRuns", limit=1)["total_entries"]
        run_id = f"demo__{run_date}__{number + 1}"
        words = [*_cli(), "dags", "trigger", DAG_ID, "--run-id", run_id]
        if again:
            words += ["--conf", json.dumps({"run_date": run_date.isoformat()})]
        else:
            words += ["--logical-date", run_date.isoformat()]
        run_logged("airflow dags trigger", words, self._environment, self._logs / "trigger.log")
        return run_id, again

    def run_state(self, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(self._get(f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}")["state"])

    def tasks(self, run_id: str) -> list[TaskState]:
        """All task instances of the run."""
        found = self._get(f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances", limit=500)
        return [
            TaskState(
                task_id=entry["task_id"],
                map_index=entry["map_index"],
                state=entry["state"] or "waiting",
                seconds=entry["duration"],
                tries=entry["try_number"],
            )
            for entry in found["task_instances"]
        ]

    def has_ended(self, state: str) -> bool:
        """Whether a run in this state is over."""
        return state in _ENDED

    def check(self) -> None:
        """Raises DemoFailed if one of the three has ended."""
        for service in self.services:
            service.check()

    def task_log(self, run_id: str, task: TaskState) -> tuple[Path | None, list[str]]:
        """The newest log file of a task, and its last messages."""
        folder = self._home / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}" / f"task_id={task.task_id}"
        if task.map_index >= 0:
            folder /= f"map_index={task.map_index}"
        files = sorted(folder.glob("attempt=*.log"), key=lambda path: path.stat().st_mtime)
        if not files:
            return None, []
        messages = [_message(line) for line in tail(files[-1], 25).splitlines()]
        return files[-1], [message for message in messages if not message.startswith(("::", "Task failed with exception"))]

    def _is_healthy(self) -> bool:
        health = self._client.get("/api/v2/monitor/health").json()
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))

    def _token(self) -> str:
        answer = self._client.get("/auth/token")
        if answer.status_code not in (200, 201):
            raise DemoFailed(
                f"Airflow gave no token: {answer.status_code} {answer.text[:200]}", f"see {self._logs}/api-server.log"
            )
        return str(answer.json()["access_token"])

    def _knows_dag(self) -> bool:
        errors = self._get("/api/v2/importErrors")["import_errors"]
        if errors:
            raise DemoFailed(f"the Dag file does not load:\n{errors[0]['stack_trace']}", "mend dags/ and try again")
        answer = self._client.get(f"/api/v2/dags/{DAG_ID}")
        return answer.status_code == 200 and not answer.json()["is_stale"]

    def _wait(self, ready: Callable[[], bool], message: str, tick: Callable[[], None]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            tick()
            try:
                if ready():
                    return
            except (httpx.HTTPError, KeyError, ValueError):
                pass  # not up yet; the deadline ends this
            time.sleep(0.7)
        raise DemoFailed(f"{message} within {_START_SECONDS} s", f"see the logs in {self._logs}")

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        try:
            answer = self._client.get(path, params=query)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self.check()
            raise DemoFailed(f"Airflow's REST interface failed: {error}", f"see {self._logs}/api-server.log") from error
        found: dict[str, Any] = answer.json()
        return found


def _cli() -> list[str]:
    return [sys.executable, "-m", "airflow"]


def _at(day: date, hour: int) -> str:
    return f"{day.isoformat()}T{hour:02d}:00:00Z"


def _message(line: str) -> str:
    """The readable part of one JSON log line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    text = str(entry.get("event", line))
    details = [f"{found.get('exc_type')}: {found.get('exc_value')}" for found in entry.get("error_detail") or []]
    return " ".join([text, *details])
