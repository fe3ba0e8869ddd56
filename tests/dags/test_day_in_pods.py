"""The whole Dag with ICG_EXECUTION=kubernetes, every pod a process of the stand-in cluster: stub commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icg_tasks.contracts.stages import ASSIGN_SEGMENTS, BUILD_USER_EMBEDDINGS, DAY_IN_ORDER
from tests.dags.kubernetes_stand_in import StandIn, tool_path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

REPOSITORY = Path(__file__).resolve().parents[2]
SPARK = {BUILD_USER_EMBEDDINGS, ASSIGN_SEGMENTS}  # through spark-submit under either way of running
KEY = {"ICG_PSEUDONYM_KEY": "a pseudonym key for tests alone"}
_RUN = """
import sys
sys.path.insert(0, "dags")
from datetime import UTC, datetime
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("dags")
assert bag.import_errors == {}, bag.import_errors
run = bag.dags["icg_daily"].test(logical_date=datetime(2026, 3, 10, tzinfo=UTC))
states = {f"{found.task_id}[{found.map_index}]": str(found.state) for found in run.get_task_instances()}
print({task: state for task, state in states.items() if state != "success"}, file=sys.stderr)
sys.exit(0 if run.state == "success" else 1)
"""


def run_day(cluster: StandIn, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The Dag's run of one day in a process of its own, since the way of running is chosen when the Dag is parsed."""
    extra = {"in_cluster": False, "kube_config_path": str(cluster.kubeconfig())}
    connection = json.dumps({"conn_type": "kubernetes", "extra": extra})
    environment = os.environ | {"ICG_EXECUTION": "kubernetes", "AIRFLOW_CONN_KUBERNETES_DEFAULT": connection} | more
    return subprocess.run(
        [sys.executable, "-c", _RUN], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=1700
    )


def stages_of(cluster: StandIn) -> list[str]:
    return [pod.component for pod in cluster.pods]


def test_day_of_stubs_runs_as_pods(airflow_database, commands, tmp_path):
    cluster = StandIn(tmp_path, tool_path(), {"icg": {}}, {"icg-pseudonym": KEY})
    try:
        done = run_day(cluster, {})
    finally:
        cluster.stop()
    assert done.returncode == 0, done.stderr[-4000:]
    assert cluster.faults == []
    assert set(stages_of(cluster)) == set(DAY_IN_ORDER) - SPARK
    assert stages_of(cluster).count("generate-covers") == 2
