"""The whole Dag with ICG_EXECUTION=kubernetes, every pod a process of the stand-in cluster: stub commands, and a small day."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from icg_tasks.contracts import partitions
from icg_tasks.contracts.partitions import stage_run_key
from icg_tasks.contracts.stages import ASSIGN_SEGMENTS, BUILD_USER_EMBEDDINGS, DAY_IN_ORDER, GENERATE_COVERS, TRAIN_ADAPTER
from icg_tasks.lake.partitions import read_partition
from tests.dags.kubernetes_stand_in import Disturbance, StandIn, tool_path
from tests.pipeline.conftest import DAY, simulated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

REPOSITORY = Path(__file__).resolve().parents[2]
SPARK = {BUILD_USER_EMBEDDINGS, ASSIGN_SEGMENTS}  # through spark-submit under either way of running
KEY = {"ICG_PSEUDONYM_KEY": "a pseudonym key for tests alone"}
_RUN = """
import json, os, sys
sys.path.insert(0, "dags")
from datetime import UTC, datetime
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("dags")
assert bag.import_errors == {}, bag.import_errors
run = bag.dags["icg_daily"].test(
    logical_date=datetime(2026, 3, 10, tzinfo=UTC), run_conf=json.loads(os.environ.get("RUN_CONF", "{}"))
)
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


def test_real_small_day_runs_as_pods_and_one_of_them_is_preempted(airflow_database, tmp_path, monkeypatch):
    """The stages themselves, each in the environment of its pod alone; the adapter's training is moved to another node."""
    monkeypatch.setenv("ICG_PSEUDONYM_KEY", KEY["ICG_PSEUDONYM_KEY"])
    world = simulated(str(tmp_path / "store"), tmp_path / "work")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    settings = {"ICG_STORE": world.uri, "ICG_PROFILE": "tiny", "HF_HUB_OFFLINE": "1", "GX_ANALYTICS_ENABLED": "False"}
    # The embedded world's evaluation looks its users up by their raw ids, which takes the key; real readers' does not.
    cluster = StandIn(tmp_path, tool_path(), {"icg": settings}, {"icg-pseudonym": KEY, "icg": KEY})
    cluster.disturb(TRAIN_ADAPTER, Disturbance("pre-empt", on_line="check at 0"))
    transport = {"type": "file", "log_file_path": str(tmp_path / "events"), "append": True}
    try:
        more = settings | {"PATH": path, "ICG_WORK_FOLDER": str(tmp_path / "work"), "PYSPARK_PYTHON": sys.executable}
        more |= {"RUN_CONF": json.dumps({"settings": list(world.settings)})}
        more |= {"JAVA_HOME": os.environ.get("JAVA_HOME") or str(Path(sys.executable).parents[1] / "icg-java")}
        done = run_day(cluster, more | {"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)})
    finally:
        cluster.stop()
    ends = {pod.body["metadata"]["name"]: [line for _, line in pod.log[-5:]] for pod in cluster.pods if pod.process.returncode}
    assert done.returncode == 0, (done.stderr[-2000:], ends)
    assert cluster.faults == []
    ran = stages_of(cluster)
    assert set(ran) == set(DAY_IN_ORDER) - SPARK
    assert ran.count(TRAIN_ADAPTER) == 2
    for stage in set(DAY_IN_ORDER) - {GENERATE_COVERS}:
        assert json.loads(world.store.get(stage_run_key(stage, DAY)))["stage"] == stage
    rows = read_partition(world.store, partitions.COVER_MANIFESTS, DAY).to_pylist()
    assert rows
    assert all(world.store.exists(row["blob"]) for row in rows)
    assert DAY.isoformat().encode() in world.store.get(partitions.COVERS_CURRENT)
    assert world.store.exists(f"reports/ds={DAY}/index.html")
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    told = {
        output["name"]: output.get("outputFacets", {}).get("outputStatistics", {}).get("rowCount")
        for event in events if event["eventType"] == "COMPLETE" for output in event["outputs"]
    }  # fmt: skip
    assert told[f"{world.uri}/covers/v1/manifests/ds={DAY}"] == len(rows)
    users = read_partition(world.store, partitions.USERS, DAY).num_rows
    assert told[f"{world.uri}/features/users/ds={DAY}"] == users  # by spark-submit
    shutil.rmtree(tmp_path / "pods", ignore_errors=True)
