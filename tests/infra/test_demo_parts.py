"""The demo's parts one by one: options, processes that are stopped for certain, kept secrets, tables, task states."""

import json
import os
import signal
import stat
import sys
import time
from datetime import date
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from icg_tasks.contracts.stages import DAY_IN_ORDER
from icg_tasks.lake.store import open_store
from infra.demo import environment, options, processes, progress, s3, summary
from infra.demo.airflow import TaskState
from infra.demo.memory import MemoryWatch

DAY = date(2026, 3, 10)


def read(*words: str) -> options.Options:
    return options.read_options(list(words))


def test_another_world_is_another_store():
    names = [
        read().world_name,
        read("--seed", "9").world_name,
        read("--source", "classics", "--data", "/x").world_name,
        read("--set", "world.num_users=10").world_name,
        read("--set", "world.num_users=10 world.num_items=5").world_name,
    ]
    assert names[0] == "store"
    assert len(set(names)) == len(names)
    assert read("--set", "covers.steps=4").world_name == "store", "settings of the stages do not change the world"


def test_settings_reach_the_stages_with_the_callers_last():
    assert read("--seed", "9", "--set", "covers.steps=4").all_settings == ("world.seed=9", "covers.steps=4")
    assert "source=classics" in read("--source", "classics").all_settings


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--source", "classics"], "needs the folder"),
        (["--source", "classics", "--data", "/nowhere"], "interactions.parquet"),
        (["--data", "/nowhere"], "without SOURCE"),
        (["--set", "steps"], "section.field=value"),
    ],
)
def test_what_would_fail_later_is_said_at_once(words, says, tmp_path):
    with pytest.raises(options.DemoFailed, match=says) as caught:
        options.check_options(read(*words, "--home", str(tmp_path)))
    assert caught.value.advice


def test_secret_is_made_once_and_only_its_owner_reads_it(tmp_path):
    first = environment.kept_secret(tmp_path, "pseudonym_key", 32)
    assert len(first) == 64
    assert environment.kept_secret(tmp_path, "pseudonym_key", 32) == first
    assert stat.S_IMODE((tmp_path / "secrets" / "pseudonym_key").stat().st_mode) == 0o600


def test_stage_environment_holds_no_airflow_and_keeps_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "x")
    monkeypatch.delenv("ICG_PSEUDONYM_KEY")
    found = environment.stage_environment(read("--home", str(tmp_path)), "/store", {"AWS_ENDPOINT_URL": "http://x"})
    assert not [name for name in found if name.startswith("AIRFLOW")]
    assert found["ICG_PSEUDONYM_KEY"] == (tmp_path / "secrets" / "pseudonym_key").read_text()
    assert found["ICG_STORE"] == "/store"
    assert found["ICG_REUSE"] == "1"
    assert environment.stage_environment(read("--fresh", "--home", str(tmp_path)), "/store", {})["ICG_REUSE"] == ""


def test_free_ports_are_distinct_and_never_the_one_airflow_trips_over():
    found = processes.free_ports(4)
    assert len(set(found)) == 4
    assert 8080 not in found


def test_stop_ends_a_service_with_all_its_children_even_stubborn_ones(tmp_path):
    script = tmp_path / "service.py"
    script.write_text(
        "import signal, subprocess, sys, time\n"
        "stubborn = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); '\n"
        "stubborn += 'print(1, flush=True); time.sleep(600)'\n"
        "child = subprocess.Popen([sys.executable, '-c', stubborn], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    service = processes.Service("test", [sys.executable, str(script)], os.environ, tmp_path / "log")
    deadline = time.monotonic() + 30
    while not (tmp_path / "log").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int((tmp_path / "log").read_text())
    assert processes.stop([service], seconds=2) == [child]
    assert service.process.returncode == -signal.SIGTERM
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    with pytest.raises(options.DemoFailed, match="test ended by itself"):
        service.check()
    assert processes.stop([service]) == []


def test_failed_command_says_its_last_words(tmp_path):
    with pytest.raises(options.DemoFailed, match="no such table"):
        processes.run_logged("x", [sys.executable, "-c", "raise SystemExit('no such table')"], os.environ, tmp_path / "log")
    assert processes.run_logged("x", [sys.executable, "-c", "print(7)"], os.environ, tmp_path / "log").strip() == "7"


def test_memory_watch_sees_a_childs_memory(tmp_path):
    watch = MemoryWatch(every_seconds=0.1)
    words = [sys.executable, "-c", "import time; block = bytearray(b'x') * 300_000_000; time.sleep(1.5)"]
    processes.run_logged("x", words, os.environ, tmp_path / "log")
    assert watch.close() > 300_000_000


def test_copied_store_is_equal_and_copied_again_only_where_it_differs(tmp_path):
    origin = open_store(str(tmp_path / "a"))
    for key in ("covers/v1/current.json", "raw/items/ds=2026-03-10/x"):
        origin.put(key, key.encode())
    assert s3.copy_store(str(tmp_path / "a"), str(tmp_path / "b")) == 2
    copy = open_store(str(tmp_path / "b"))
    before = (tmp_path / "b/raw/items/ds=2026-03-10/x").stat().st_mtime_ns
    origin.put("covers/v1/current.json", b"new")
    s3.copy_store(str(tmp_path / "a"), str(tmp_path / "b"))
    assert copy.get("covers/v1/current.json") == b"new"
    assert (tmp_path / "b/raw/items/ds=2026-03-10/x").stat().st_mtime_ns == before


def task(state: str, *, index: int = -1, seconds: float | None = 2.0, tries: int = 1) -> TaskState:
    return TaskState(task_id="covers.generate-covers", map_index=index, state=state, seconds=seconds, tries=tries)


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([], ("waiting", "")),
        ([task("success")], ("success", "2 s")),
        ([task("success", index=0), task("failed", index=1)], ("failed", "1 of 2 shards, 4 s")),
        ([task("success", index=0), task("running", index=1, seconds=None)], ("running", "1 of 2 shards")),
        ([task("up_for_retry", tries=2)], ("up_for_retry", "2 s, try 2")),
        ([task("skipped", seconds=None)], ("skipped", "")),
    ],
)
def test_stage_is_in_the_worst_or_busiest_state_of_its_tasks(tasks, expected):
    assert progress.summarised(tasks) == expected


def test_progress_without_a_terminal_says_each_change_once(tmp_path):
    with (tmp_path / "out").open("w") as sink, progress.Progress(Console(file=sink)) as shown:
        for state in ("running", "running", "success", "success"):
            shown.show([task(state)])
    assert len((tmp_path / "out").read_text().splitlines()) == 2


def test_summary_shows_stages_uplift_covers_and_report(tmp_path):
    store = open_store(str(tmp_path / "store"))
    for shard in (0, 1):
        line = {"stage": "generate-covers", "seconds": 2.5, "counts": {"covers": 10}, "figures": {}}
        store.put(f"runs/ds={DAY}/generate-covers-{shard}.json", json.dumps(line).encode())
    rows = [
        {"arm": arm, "metric": metric, "mean": 0.123456, "low": 0.1, "high": 0.2, "n": 144}
        for arm in ("personalised", "own_cover")
        for metric in ("true_click_probability", "true_click_logit")
    ]
    store.put(f"reports/ds={DAY}/evaluation.json", json.dumps(rows).encode())
    store.put(f"reports/ds={DAY}/index.html", b"<html>")
    store.put("covers/v1/current.json", b'{"ds": "2026-03-10"}')
    with (tmp_path / "out").open("w") as sink:
        summary.print_summary(Console(file=sink, width=200), store, DAY, {"generate-covers"})
    text = (tmp_path / "out").read_text()
    for words in (
        "generate-covers x2",
        "reused",
        "covers 20",
        "0.123 [0.100, 0.200]",
        "144",
        f"reports/ds={DAY}/index.html",
    ):
        assert words in text
    assert text.index("own_cover") < text.index("personalised")
    with (tmp_path / "narrow").open("w") as sink:
        summary.print_summary(Console(file=sink, width=80), store, DAY, set())
    narrow = (tmp_path / "narrow").read_text()
    assert "0.123±0.050" in narrow
    assert "…" not in narrow


def test_every_stage_of_the_day_has_something_to_tell():
    assert set(summary.TOLD) >= set(DAY_IN_ORDER)


def test_every_arm_of_the_issue_has_its_row():
    assert len(summary.ARMS) == 7
    assert Path(summary.__file__).is_file()
