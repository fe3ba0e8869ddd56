"""Parts of the platform killed during a day (benchmarks/chaos.py: ten times each); slow: a day with one kill of each."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.chaos import COMPONENTS, Moment, ended_right, live, moments, table
from benchmarks.chaos_ground import contents, differences
from icg_tasks.lake.store import open_store

TIMELINE = [("resolve-run-date", 5.0), ("features.embed-items", 30.0), ("models.train-adapter", 90.0)]
PLAN = [
    Moment(task="intake.validate-items", seconds=2.0),
    Moment(task="features.build-user-embeddings", seconds=5.0),
    Moment(task="models.train-adapter", seconds=3.0),
    Moment(task="report.evaluate", seconds=2.0),
    Moment(task="report.report", seconds=0.0),
]


def test_moments_are_spread_over_the_day_and_follow_from_the_seed() -> None:
    found = moments(TIMELINE, 120.0, 12, np.random.default_rng(3))
    assert (
        found
        == moments(TIMELINE, 120.0, 12, np.random.default_rng(3))
        != moments(TIMELINE, 120.0, 12, np.random.default_rng(4))
    )
    begun = dict(TIMELINE)
    at = [begun[moment.task] + moment.seconds for moment in found]
    assert at == sorted(at)
    assert {moment.task for moment in found} == set(begun)
    assert all(number * 10.0 <= when <= max(number * 10.0 + 10.0, 5.0) for number, when in enumerate(at))


def test_every_difference_is_told(tmp_path: Path) -> None:
    for name, data in {
        "clean/a": b"1",
        "covers/v1/b": b"2",
        "runs/c": b"seconds",
        "reports/ds=2026-03-10/index.html": b"3",
    }.items():
        open_store(str(tmp_path / "one")).put(name, data)
    one = contents(open_store(str(tmp_path / "one")))
    assert set(one) == {"clean/a", "covers/v1/b", "reports/ds=2026-03-10/index.html"}
    assert differences(one, one) == []
    other = {"clean/a": "else", "covers/v1/c": "", "reports/ds=2026-03-10/index.html": "there"}
    assert differences(one, other) == ["missing covers/v1/b", "too much covers/v1/c", "other bytes in clean/a"]


def test_table_counts_days_that_ended_right() -> None:
    kill = {"component": "store", "whom": "store", "task": "t", "at": 1.0, "away": 4.0}
    days = [
        {"number": 1, "state": "success", "wrong": [], "wall": 30.0, "kills": [kill, kill], "tries": {"t": 2}},
        {"number": 2, "state": "success", "wrong": ["missing x"], "wall": 30.0, "kills": [kill], "tries": {}},
    ]
    assert [ended_right(day) for day in days] == [True, False]
    text = table(days, {"wall": 20.0})
    assert "| store | store | 3 | 2 | 4 (4) |" in text
    assert "Day 2: success; ['missing x']" in text


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.geteuid() != 0, reason="starts PostgreSQL as its own user, and Ceph: as root only")
@pytest.mark.skipif(not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="needs Debian's postgresql")
def test_a_day_in_which_every_part_is_killed_ends_right() -> None:
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder)
        keep.chmod(0o755)  # user postgres looks into it
        day = live(keep, COMPONENTS, PLAN, 1, cold=False)
    assert {kill["component"] for kill in day["kills"]} == set(COMPONENTS)
    assert day["state"] == "success", day["tasks"]
    assert day["wrong"] == []
