"""Where Spark runs is the connection's business alone: one stage under four kinds of cluster, as spark-submit is called."""

import json

import pytest

CONNECTIONS = {
    "local[2]": {"host": "local[2]"},
    "spark://master:7077": {"host": "spark://master", "port": 7077},
    "yarn": {"host": "yarn", "extra": {"deploy-mode": "client", "queue": "nightly"}},
    "k8s://https://kubernetes.default.svc": {
        "host": "k8s://https://kubernetes.default.svc", "extra": {"deploy-mode": "client", "namespace": "icg"},
    },
}  # fmt: skip


@pytest.mark.parametrize("master", sorted(CONNECTIONS))
def test_spark_stage_goes_where_the_connection_says(airflow_database, commands, monkeypatch, master):
    from icg_dags.spark_stage import SparkStageOperator

    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps({"conn_type": "spark"} | CONNECTIONS[master]))
    monkeypatch.setenv("ICG_SPARK_CONF", '{"spark.executor.memory": "14g"}')
    task = SparkStageOperator(
        task_id="assign-segments", stage="assign-segments", run_date="2026-03-10", profile="tiny", settings="a.b=1"
    )
    line = task.execute({})
    [[words, settings, _]] = commands.calls("assign-segments")
    assert f"--master {master} " in words
    assert "--conf spark.executor.memory=14g" in words
    assert words.endswith("spark_jobs/assign_segments.py --run-date 2026-03-10 --profile tiny")
    assert ("--deploy-mode client" in words) == ("extra" in CONNECTIONS[master])
    assert ("--queue nightly" in words) == (master == "yarn")
    assert settings == "a.b=1" or "ICG_SET=a.b=1" in words
    assert line["stage"] == "assign-segments"
