"""What orchestration costs (benchmarks/orchestration.py): the arithmetic of overlapping stages."""

import doctest

from benchmarks import orchestration


def test_time_without_a_stage_is_what_the_stages_do_not_cover() -> None:
    run = ("2026-03-10T00:00:00", "2026-03-10T00:01:40")
    tasks = [
        ("resolve-run-date", -1, "2026-03-10T00:00:02", "2026-03-10T00:00:04"),
        ("generate-covers", 0, "2026-03-10T00:00:10", "2026-03-10T00:00:40"),
        ("generate-covers", 1, "2026-03-10T00:00:20", "2026-03-10T00:01:00"),
        ("report", -1, "2026-03-10T00:01:05", "2026-03-10T00:01:35"),
    ]
    found = orchestration.overhead_of(run, tasks, {"generate-covers-0": 28.0, "generate-covers-1": 30.0, "report": 25.0})
    assert (found.wall, found.tasks) == (100.0, 4)
    assert found.at_work == 48.0 + 25.0
    assert round(found.share, 2) == 0.27


def test_examples_are_true() -> None:
    found = doctest.testmod(orchestration)
    assert found.attempted == 1
    assert found.failed == 0
