"""Stages as pods of a stand-in cluster whose pods are processes: what is an XCom, what is retried, what uses up no retry."""

import json
import os
from datetime import UTC, datetime

import pytest
from airflow.utils.state import DagRunState

from tests.dags.kubernetes_stand_in import Disturbance, StandIn, tool_path

_DAG = """
from datetime import datetime, timedelta
from airflow.sdk import DAG, task
from icg_dags.defaults import DEFAULT_ARGUMENTS
from icg_dags.pod_stage import StagePod

with DAG("pods", start_date=datetime(2020, 1, 1), schedule=None, default_args=DEFAULT_ARGUMENTS):
    @task
    def seen(line):
        assert line["figures"]["shards"] == [0, 1], line

    common = dict(run_date="{{ logical_date | ds }}", profile="tiny", settings="covers.steps=4")
    seen(StagePod(task_id="train-adapter", stage="train-adapter", **common).output)
"""
_STUB = """#!/usr/bin/env bash
echo "$*|${ICG_CARRY:-}|${ICG_STORE:-}|${ICG_WORK_FOLDER:-}|$(env | grep -c AIRFLOW)" >>"@HERE@/calls"
trap 'echo "saved" >&2; exit 75' TERM
code=$(sed -n "$(wc -l <@HERE@/calls)p" @HERE@/codes 2>/dev/null)
case ${code:-0} in
  wait) echo "training" >&2; sleep 20 >/dev/null 2>&1 & wait $! ;;
  0) echo "training" >&2 ;;
  *) echo "the reason why" >&2; exit "$code" ;;
esac
echo '{"stage": "train-adapter", "run_date": "", "seconds": 0.1, "outputs": [], "counts": {}, "figures": {"shards": [0, 1]}}'
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    stub = tmp_path / "bin" / "icg"
    stub.parent.mkdir()
    stub.write_text(_STUB.replace("@HERE@", str(tmp_path)))
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    found = StandIn(tmp_path, tool_path(), {"icg": {"ICG_STORE": "s3://bucket/icg"}}, {})
    extra = {"in_cluster": False, "kube_config_path": str(found.kubeconfig()), "namespace": "icg"}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    yield found
    found.stop()


@pytest.fixture
def run(airflow_database, cluster, tmp_path):
    """Run the one-stage Dag; (run, the stub's calls). ``codes``: what each call of the stub does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    def run_once(*codes: str, day: int):
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        (tmp_path / "dags").mkdir()
        (tmp_path / "dags" / "pods.py").write_text(_DAG)
        bag = DagBag(str(tmp_path / "dags"))
        assert bag.import_errors == {}
        DagBundlesManager().sync_bundles_to_db()
        sync_bag_to_db(bag, "dags-folder", None)
        done = bag.dags["pods"].test(logical_date=datetime(2026, 5, day, tzinfo=UTC))
        calls = tmp_path / "calls"
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run_once


def instance(done):
    """The stage's task instance."""
    return next(found for found in done.get_task_instances() if found.task_id == "train-adapter")


def test_closing_line_becomes_the_xcom_and_the_pod_sees_only_its_own_environment(run, cluster, tmp_path):
    done, calls = run("0", day=1)
    assert done.state == DagRunState.SUCCESS
    words, carry, store, work, airflow_variables = calls[0].split("|")
    assert words == "train-adapter --run-date 2026-05-01 --profile tiny --set covers.steps=4"
    assert (carry, store, airflow_variables) == ("1", "s3://bucket/icg", "0")
    assert work.startswith(str(tmp_path))
    assert len(cluster.pods) == 1
    assert cluster.live == {}
    assert cluster.faults == []


@pytest.mark.parametrize(
    ("disturbance", "codes", "calls_made", "day"),
    [
        (Disturbance("pre-empt", on_line="training"), ("wait", "0"), 2, 2),
        (Disturbance("vanish", on_line="training"), ("wait", "0"), 2, 3),
        (Disturbance("image"), ("0",), 1, 4),
    ],
    ids=["pre-empted", "node lost", "image not pulled"],
)
def test_what_the_cluster_does_uses_up_no_retry(run, cluster, disturbance, codes, calls_made, day):
    cluster.disturb("train-adapter", disturbance)
    done, calls = run(*codes, day=day)
    assert done.state == DagRunState.SUCCESS
    assert len(calls) == calls_made
    assert len(cluster.pods) == 2
    assert instance(done).try_number == 1
    if disturbance.kind == "pre-empt":
        assert [line for _, line in cluster.pods[0].log] == ["training", "saved"]


def test_refused_gate_is_final(run, cluster):
    done, calls = run("3", day=5)
    assert done.state == DagRunState.FAILED
    assert len(calls) == 1


def test_failure_uses_up_the_retries(run, cluster):
    done, calls = run("1", "1", "1", "1", day=6)
    assert done.state == DagRunState.FAILED
    assert len(calls) == 3
    assert instance(done).try_number == 3
