"""The Dag itself: it loads, says what it is about, knows nothing heavy, and its tasks stand in the order of the day."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icg_tasks.contracts import stages

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dag(airflow_database):
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(REPOSITORY / "dags"))
    assert bag.import_errors == {}
    assert set(bag.dags) == {"icg_daily", "icg_housekeeping"}
    return bag.dags["icg_daily"]


def test_dag_holds_every_stage_of_the_day_once(dag):
    names = [task_id.rpartition(".")[2] for task_id in dag.task_ids]
    assert sorted(names) == sorted([*stages.DAY_IN_ORDER, "resolve-run-date", "shards"])
    assert {task_id.partition(".")[0] for task_id in dag.task_ids if "." in task_id} == {
        "intake",
        "features",
        "models",
        "covers",
        "report",
    }


def test_dag_order_is_the_order_of_the_data(dag):
    def before(stage: str) -> set[str]:
        task = next(task for task in dag.tasks if task.task_id.rpartition(".")[2] == stage)
        return {task_id.rpartition(".")[2] for task_id in task.get_flat_relative_ids(upstream=True)}

    assert before("validate-items") == {"resolve-run-date"}
    assert before("validate-impressions") == {"resolve-run-date", "validate-items"}
    assert {"validate-items", "validate-impressions"} <= before("embed-items")
    assert {"embed-items", "build-user-embeddings"} <= before("assign-segments")
    assert "assign-segments" in before("train-preference") & before("adapt-denoiser")
    assert {"train-preference", "adapt-denoiser"} <= before("train-adapter")
    assert {"train-adapter", "plan-covers", "shards", "generate-covers"} <= before("publish-covers")
    assert len(before("report")) == len(dag.tasks) - 1
    assert {"train-adapter", "shards"} <= before("evaluate")
    assert not {"generate-covers", "publish-covers"} & before("evaluate")  # covers go up whether or not they are measured


def test_where_machines_are_few_covers_are_made_before_they_are_measured(dag):
    generate, evaluate = (
        next(task for task in dag.tasks if task.task_id.rpartition(".")[2] == stage)
        for stage in ("generate-covers", "evaluate")
    )
    assert generate.pool == evaluate.pool
    for task in (generate, evaluate):  # a task weighs what it and all behind it weigh
        assert (task.weight_rule.value, task.priority_weight) == ("downstream", 1)
    behind_generate, behind_evaluate = (len(task.get_flat_relative_ids(upstream=False)) for task in (generate, evaluate))
    assert behind_generate > behind_evaluate


def test_dag_is_fit_for_operators(dag):
    assert dag.catchup is False
    assert dag.max_active_runs > 1, "they wait in the first task: one at work, the earliest day first"
    for word in ("Healthy", "Owner", "backfill", "--logical-date", "run_date", "yesterday's covers stay up"):
        assert word in dag.doc_md
    pools = {task.task_id.rpartition(".")[2]: task.pool for task in dag.tasks}
    assert pools["build-user-embeddings"] == pools["assign-segments"] == "spark"
    assert pools["train-adapter"] == pools["generate-covers"] == pools["train-preference"] == "gpu"
    stage_tasks = [task for task in dag.tasks if task.task_id.rpartition(".")[2] in stages.DAY_IN_ORDER]
    assert len(stage_tasks) == len(stages.DAY_IN_ORDER)
    assert all(task.retries == 2 and task.retry_exponential_backoff for task in stage_tasks)


def test_dag_file_parses_fast_and_loads_nothing_heavy():
    """In a fresh process, beyond what Airflow itself costs; in processor seconds, so that a busy machine does not count."""
    code = """
import json, runpy, sys, time
sys.path.insert(0, "dags")
from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, Param, TaskGroup, task
DAG("warm", schedule=None); task(lambda: None)
before = set(sys.modules)
started = time.process_time()
runpy.run_path("dags/icg_daily.py")
print(json.dumps({"seconds": time.process_time() - started, "new": sorted(set(sys.modules) - before)}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["seconds"] < 0.5
    assert "icg_dags.stages" in found["new"]
    loaded = {name.partition(".")[0] for name in found["new"]}
    assert loaded.isdisjoint(
        {"torch", "pyspark", "great_expectations", "pandas", "numpy", "kubernetes", "transformers", "diffusers", "boto3"}
    )
    assert {name for name in found["new"] if name.startswith("icg_tasks")} <= {
        "icg_tasks", "icg_tasks.contracts", "icg_tasks.contracts.stages", "icg_tasks.contracts.errors",
    }  # fmt: skip


def test_another_generator_has_its_own_training_and_all_else_is_the_same():
    code = """
import json, runpy, sys
sys.path.insert(0, "dags")
dag = runpy.run_path("dags/icg_daily.py")["dag"]
names = {t.task_id: t.task_id.rpartition(".")[2] for t in dag.tasks}
print(json.dumps({names[t.task_id]: [names[other] for other in t.get_flat_relative_ids(upstream=True)] for t in dag.tasks}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, env=os.environ | {"ICG_GENERATOR": "pigeon"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    before = json.loads(done.stdout.splitlines()[-1])
    assert set(before) == {*stages.day_in_order("pigeon"), "resolve-run-date", "shards"}
    assert set(stages.DAY_IN_ORDER) - set(before) == set(stages.TRAININGS["icg"])
    assert {"train-pigeon", "train-preference"} <= set(before["plan-covers"])
    assert "train-preference" not in before["train-pigeon"]


def test_generators_side_by_side_are_all_trained_before_the_plan():
    code = """
import json, runpy, sys
sys.path.insert(0, "dags")
dag = runpy.run_path("dags/icg_daily.py")["dag"]
plan = next(t for t in dag.tasks if t.task_id.endswith("plan-covers"))
print(json.dumps([name.rpartition(".")[2] for name in plan.get_flat_relative_ids(upstream=True)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, env=os.environ | {"ICG_GENERATOR": "icg,pigeon"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    before = set(json.loads(done.stdout.splitlines()[-1]))
    assert {stage for trainings in stages.TRAININGS.values() for stage in trainings} | {"train-preference"} <= before


def test_kubernetes_execution_runs_every_stage_in_its_own_image():
    code = """
import json, runpy, sys
sys.path.insert(0, "dags")
dag = runpy.run_path("dags/icg_daily.py")["dag"]
print(json.dumps({t.task_id.rpartition(".")[2]: [type(t).__name__, getattr(t, "image", None)] for t in dag.tasks}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, env=os.environ | {"ICG_EXECUTION": "kubernetes", "ICG_IMAGE_PREFIX": "images.example/icg"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["validate-items"] == ["StagePod", "images.example/icg-validation:0.1.0"]
    assert found["train-adapter"] == ["StagePod", "images.example/icg-training:0.1.0"]
    assert found["assign-segments"][0] == "SparkStageOperator"
    assert "StageOperator" not in {kind for kind, _ in found.values()}
