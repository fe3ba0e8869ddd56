import copy

import numpy as np
import pytest

from icg_tasks.world.corruption import SPOILS, TOO_LATE_DAYS, delays, duplicate, spoil


def _columns(count: int) -> dict[str, list[object]]:
    return {
        "impression_id": [f"i-{row}" for row in range(count)],
        "user_id": ["u"] * count,
        "item_id": ["item"] * count,
        "shown_at": ["2026-03-10T00:00:00.000Z"] * count,
        "surface": ["home"] * count,
        "position": [0] * count,
        "cover_id": [None] * count,
        "propensity": [1.0] * count,
        "clicked": [0] * count,
        "dwell_seconds": [None] * count,
    }


def test_every_way_of_spoiling_changes_exactly_one_cell_per_row() -> None:
    columns, before = _columns(5000), copy.deepcopy(_columns(5000))
    counts, rows = spoil(columns, 0.1, np.random.default_rng(1))
    changed = {row for name in columns for row in range(5000) if columns[name][row] != before[name][row]}
    assert changed == rows
    assert len(rows) == sum(counts.values()) == 500
    assert set(counts) == set(SPOILS)
    assert min(counts.values()) > 0
    assert sum(columns[name][row] != before[name][row] for name in columns for row in rows) == 500


def test_late_rows_are_as_many_as_asked_and_some_too_late() -> None:
    delay = delays(100_000, 0.01, np.random.default_rng(1))
    assert (delay > 0).mean() == pytest.approx(0.01, abs=0.001)
    assert 0 < (delay == TOO_LATE_DAYS).sum() < 0.1 * (delay > 0).sum()
    assert (delay == 1).sum() > (delay == 3).sum() > 0


def test_duplicates_are_exact_copies_of_sound_rows() -> None:
    columns = _columns(1000)
    _, spoilt = spoil(columns, 0.5, np.random.default_rng(1))
    added = duplicate(columns, 0.1, spoilt, np.random.default_rng(2))
    assert 30 < added < 70
    assert {len(values) for values in columns.values()} == {1000 + added}
    ids = columns["impression_id"]
    assert len(set(ids[1000:])) == added
    assert set(ids[1000:]) <= set(ids[:1000])
