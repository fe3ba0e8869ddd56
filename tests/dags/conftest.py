"""A migrated Airflow home of its own, and an outside world of two stub commands, `icg` and `spark-submit`."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Airflow reads its configuration when it is first imported, which may be while a test module is being collected.
_HOME = tempfile.TemporaryDirectory(prefix="icg-airflow-")
AIRFLOW_ENVIRONMENT = {
    "AIRFLOW_HOME": _HOME.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",  # a busy machine is no broken Dag
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME.name}/airflow.db",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": f"{_HOME.name}/logs",
    "AIRFLOW__API_AUTH__JWT_SECRET": "0" * 64,
    "AIRFLOW_CONN_SPARK_DEFAULT": '{"conn_type": "spark", "host": "local[2]"}',
    "ICG_RETRY_DELAY_SECONDS": "0.01",
    "ICG_INFRASTRUCTURE_DELAY_SECONDS": "0.01",
}
os.environ.update(AIRFLOW_ENVIRONMENT)
sys.path.insert(0, str(REPOSITORY / "dags"))

_STUB = """#!/usr/bin/env bash
# Stands for {name}: writes down its words, fails as often as told, prints a closing line.
stage=$1
[ {name} = icg ] || {{ for word in "$@"; do case $word in *.py) stage=$(basename "$word" .py | tr _ -) ;; esac; done; }}
echo "$stage|$*|${{ICG_SET:-}}|${{AIRFLOW__API_AUTH__JWT_SECRET:-}}" >>"{folder}/calls"
rule=$(cat "{folder}/fail-$stage" 2>/dev/null)
if [ -n "$rule" ]; then
  set -- $rule
  tries=$(grep -c "^$stage|" "{folder}/calls")
  if [ "$tries" -le "$2" ]; then echo "the reason why" >&2; exit "$1"; fi
fi
echo "working on $stage" >&2
did='"seconds": 0.1, "outputs": [], "counts": {{"rows": 7}}'
echo '{{"stage": "'$stage'", "run_date": "", '"$did"', "figures": {{"shards": {shards}}}}}'
"""


@dataclass
class Commands:
    """The stubs' folder: what they were called with, and what they were told to do."""

    folder: Path

    def calls(self, stage: str) -> list[list[str]]:
        """Each call of a stage: [words, ICG_SET, Airflow's secret as the stage saw it]."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split("|")[1:] for line in lines if line.startswith(f"{stage}|")]

    def fail(self, stage: str, code: int, times: int) -> None:
        """Let the first ``times`` calls of a stage end with this exit code."""
        (self.folder / f"fail-{stage}").write_text(f"{code} {times}")


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """A migrated SQLite database; a copy of the one that an earlier session of this Airflow version migrated."""
    kept = REPOSITORY / ".cache" / f"airflow-{version('apache-airflow')}.db"
    if not kept.exists():
        words = [sys.executable, "-m", "airflow", "db", "migrate"]
        done = subprocess.run(words, env=os.environ, capture_output=True, text=True, check=False, timeout=1200)
        assert done.returncode == 0, done.stderr[-2000:]
        kept.parent.mkdir(exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}")
        shutil.copyfile(f"{_HOME.name}/airflow.db", part)
        part.replace(kept)
    shutil.copyfile(kept, f"{_HOME.name}/airflow.db")


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: str) -> Commands:
    """Stub commands first on PATH."""
    for name in ("icg", "spark-submit"):
        path = tmp_path / name
        path.write_text(_STUB.format(name=name, folder=tmp_path, shards=shards))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Commands(tmp_path)


@pytest.fixture
def shards() -> str:
    """Shard numbers that the stub's closing lines carry; a test may override it."""
    return "[0, 1]"
