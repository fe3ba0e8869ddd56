"""Whole days through a real Airflow, as `make demo` runs them: reuse, same bytes, back-fill, refusal, S3, real readers."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from icg_tasks.contracts import partitions
from icg_tasks.lake.partitions import find_partition, list_partition_dates, read_partition
from icg_tasks.lake.store import ObjectStore, open_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
REPOSITORY = Path(__file__).resolve().parents[2]
CLASSICS = Path(os.environ.get("ICG_CLASSICS_DATA") or REPOSITORY.parent / "shared" / "data" / "classics")
LASTING = ("clean/", "features/", "models/", "covers/")


def objects(store: ObjectStore, *prefixes: str) -> dict[str, bytes]:
    return {key: store.get(key) for prefix in prefixes for key in store.list(prefix)}


def differences(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    return sorted(key for key in before | after if before.get(key) != after.get(key))


def test_day_again_is_reused_or_the_same_bytes_and_a_past_day_leaves_current_alone(demo):
    started = time.monotonic()
    first = demo.run()
    first_seconds = time.monotonic() - started
    for words in ("Stages", "Uplift", "personalised_best_of_8", "report page", "peak memory", "validate-impressions"):
        assert words in first
    store = demo.store()
    before = objects(store, *LASTING)
    assert len([key for key in before if key.startswith("covers/v1/blobs/")]) > 4

    started = time.monotonic()
    second = demo.run()
    assert "reused" in second
    assert "train-adapter" in second[second.index("reused, since") :]
    assert time.monotonic() - started < first_seconds
    assert differences(before, objects(store, *LASTING)) == []

    for key in objects(store, *LASTING):
        if key != partitions.COVERS_CURRENT:
            store.delete(key)
    shutil.rmtree(demo.home / "work")
    third = demo.run("--fresh")
    assert "reused, since" not in third
    assert differences(before, objects(store, *LASTING)) == []

    demo.run("--date", "2026-03-09")
    after = objects(store, *LASTING)
    assert after[partitions.COVERS_CURRENT] == before[partitions.COVERS_CURRENT]
    assert (
        find_partition(store, partitions.COVER_MANIFESTS, list_partition_dates(store, partitions.COVER_MANIFESTS)[0])
        is not None
    )
    assert len(list_partition_dates(store, partitions.COVER_MANIFESTS)) == 2
    for kind in ("preference", "adapter"):
        assert after[f"models/{kind}/champion.json"] == before[f"models/{kind}/champion.json"]
    manifest = f"covers/v1/manifests/ds=2026-03-10/{partitions.PARTITION_MANIFEST}"
    assert after[manifest] == before[manifest]


def test_refused_gate_stops_the_day_at_once_and_says_why(demo):
    demo.run()
    store = demo.store()
    before = objects(store, "covers/")
    said = demo.run("--date", "2026-03-11", "--set", "intake.max_quarantined_share=0.00001", expect=1)
    assert "validate-impressions failed" in said
    assert "refused" in said
    assert "quarantin" in said
    assert differences(before, objects(store, "covers/")) == []
    assert "try 2" not in said


def test_day_on_s3_by_moto_is_kept_for_the_next_one(demo):
    first = demo.run("--store", "s3")
    assert "s3://icg-demo/" in first
    kept = demo.store()
    assert kept.exists(partitions.COVERS_CURRENT)
    before = objects(kept, *LASTING)
    second = demo.run("--store", "s3")
    assert "reused" in second
    assert differences(before, objects(kept, *LASTING)) == []


def test_day_on_ceph(demo, rgw_variables, monkeypatch):
    for name, value in rgw_variables.items():
        monkeypatch.setenv(name, value)
    said = demo.run("--store", "s3", "--fresh")
    uri = next(word for word in said.split() if word.startswith("s3://icg-demo/")).split("/covers")[0]
    store = open_store(uri)
    rows = read_partition(
        store, partitions.COVER_MANIFESTS, list_partition_dates(store, partitions.COVER_MANIFESTS)[-1]
    ).to_pylist()
    assert rows
    for row in rows:
        assert store.get(row["blob"])[:4] == b"RIFF"


def test_interrupted_demo_leaves_nothing_running_and_goes_on_later(demo):
    process = subprocess.Popen(
        demo.command(),
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if ("embed-items" in line and "running" in line) or "Interrupted" in line:  # an impatient user: again while it stops
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130, "".join(said)
    assert "Interrupted" in "".join(said)
    assert "Uplift" in demo.run()


@pytest.mark.skipif(not CLASSICS.is_dir(), reason=f"no classics data at {CLASSICS}; set ICG_CLASSICS_DATA")
def test_real_readers_and_real_covers_take_the_same_way(demo):
    said = demo.run("--source", "classics", "--data", str(CLASSICS), "--set", "adapter.lora_steps=4")
    store = demo.store()
    assert (
        read_partition(store, partitions.COVER_MANIFESTS, list_partition_dates(store, partitions.COVER_MANIFESTS)[-1]).num_rows
        > 4
    )
    page = next(store.get(key).decode() for key in store.list(f"{partitions.REPORTS}/ds=") if key.endswith("/index.html"))
    assert "popularity" in page
    assert "estimates only" in said
    line = json.loads(store.get(next(key for key in store.list("runs/") if key.endswith("train-preference.json"))))
    assert line["figures"]
