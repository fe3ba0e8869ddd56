import json
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

import spark_jobs.build_user_embeddings as job
from icg_tasks.config.features import FeatureSettings
from icg_tasks.config.settings import Settings, SparkSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.stages import BUILD_USER_EMBEDDINGS
from icg_tasks.features.exact_sums import vector_matrix
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext
from tests.features.small_store import DAY, NUM_USERS, WIDTH, impressions, write_impressions

REPOSITORY = Path(__file__).resolve().parents[2]
BEFORE = DAY - timedelta(days=1)


def context(store: ObjectStore, tmp_path: Path, stage: str, day: date = DAY, **features: object) -> StageContext:
    small = FeatureSettings(
        min_segment_users=5, num_segments=4, min_user_weight=0.1, history_length=3, num_top_items=10, kmeans_starts=3
    )
    settings = Settings(
        store=store.uri,
        work_folder=str(tmp_path / "work"),
        features=replace(small, **features),
        spark=SparkSettings(master="local[1]", shuffle_partitions=2),
    )
    return StageContext(stage=stage, run_date=day, settings=settings, store=store)


def run(store, tmp_path, **features):
    return job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS, **features))


def everything(store: ObjectStore) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("features/user")}


def test_user_vectors_of_a_first_day_and_of_a_day_again(spark, store, tmp_path):
    outcome = run(store, tmp_path)
    assert outcome.counts["days"] == outcome.counts["days_computed"] == 3
    assert outcome.counts["users"] == NUM_USERS
    assert outcome.counts["impressions_without_item_vector"] == 0
    users = read_partition(store, keys.USERS, DAY)
    vectors = vector_matrix(users["vector"], WIDTH).astype(np.float64)
    assert np.square(vectors).sum(axis=1).mean() == pytest.approx(1.0, abs=1e-5)
    assert sum(users["impressions"].to_pylist()) == 3 * 900
    first = everything(store)

    again = run(store, tmp_path)
    assert again.counts["days_computed"] == 0
    assert everything(store) == first

    for key in list(store.list("features/user")):  # and from nothing: the same bytes
        store.delete(key)
    run(store, tmp_path)
    assert everything(store) == first


def test_late_rows_recompute_their_day_alone(spark, store, tmp_path):
    run(store, tmp_path)
    before = everything(store)
    write_impressions(store, BEFORE, impressions(BEFORE, seed=40))
    outcome = run(store, tmp_path)
    assert outcome.outputs == ["features/user_days/ds=2026-03-03", "features/users/ds=2026-03-04"]
    after = everything(store)
    unchanged = {key for key in before if "user_days/ds=2026-03-02" in key or "user_days/ds=2026-03-04" in key}
    assert len(unchanged) == 6
    assert all(before[key] == after[key] for key in unchanged)
    assert before["features/users/ds=2026-03-04/_manifest.json"] != after["features/users/ds=2026-03-04/_manifest.json"]


def test_without_impressions_nothing_is_written(store, tmp_path):
    with pytest.raises(DataMissing, match="embed-items --run-date 2026-03-09"):
        job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS, date(2026, 3, 9)))
    assert everything(store) == {}


def test_spark_submit_prints_the_closing_line_and_keeps_it(store, tmp_path):
    words = [
        "spark-submit",
        "--master",
        "local[1]",
        "--driver-memory",
        "1g",
        str(REPOSITORY / "spark_jobs" / "build_user_embeddings.py"),
    ]
    words += ["--run-date", DAY.isoformat(), "--set", f"store={store.uri}", "--set", f"work_folder={tmp_path / 'work'}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    printed = done.stdout.splitlines()[-1]  # spark-submit sends the script's stderr to stdout too
    line = json.loads(printed)
    assert line["stage"] == BUILD_USER_EMBEDDINGS
    assert line["counts"]["users"] == NUM_USERS
    assert store.get("runs/ds=2026-03-04/build-user-embeddings.json").decode() == printed
    assert find_partition(store, keys.USERS, DAY) is not None


def test_a_refusal_keeps_its_exit_code_under_spark_submit(store, tmp_path):
    words = [
        sys.executable,
        str(REPOSITORY / "spark_jobs" / "assign_segments.py"),
        "--run-date",
        "2026-03-04",
        "--set",
        "no.such=1",
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    assert "no setting 'no'" in done.stderr
