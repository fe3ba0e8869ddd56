"""Figures of whole arms: which rows there are, what is resampled, what planted vectors must give."""

import numpy as np
import pytest

from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.arm_figures import arm_rows
from icg_tasks.evaluation.looking import Looked
from icg_tasks.evaluation.metrics.frechet import frechet_distance

ITEMS, SEGMENTS, WIDTH = 8, 4, 12


def planted(num_looks: int, seed: int = 1) -> Looked:
    """One arm that shows everybody the same, and one in which segments share ``num_looks`` looks."""
    rng = np.random.default_rng(seed)
    look_UE = np.eye(WIDTH)[np.arange(SEGMENTS) % num_looks]
    item_IE = 0.3 * rng.normal(size=(ITEMS, WIDTH))
    several = item_IE[:, None, None] + look_UE[None, :, None] + 0.05 * rng.normal(size=(ITEMS, SEGMENTS, 3, WIDTH))
    plain = np.broadcast_to(item_IE[:, None], (ITEMS, SEGMENTS, WIDTH))
    vectors = {names.PLAIN: plain.astype(np.float32), names.PERSONAL: several[:, :, 0].astype(np.float32)}
    return Looked(vectors_IUE=vectors, candidates_IUKE={names.PERSONAL: several.astype(np.float32)})


def by_name(looked: Looked, real: np.ndarray | None) -> dict[tuple[str, str], dict[str, float]]:
    rows = arm_rows(looked, real, samples=60, seed=1)
    assert all(set(row) == {"arm", "metric", "mean", "low", "high", "n"} for row in rows)
    assert all(row["low"] <= row["mean"] <= row["high"] and row["n"] == ITEMS for row in rows)
    return {(row["arm"], row["metric"]): row for row in rows}


@pytest.mark.parametrize("num_looks", [1, 2, 4])
def test_planted_looks_are_counted(num_looks: int) -> None:
    found = by_name(planted(num_looks), None)
    assert found[names.PERSONAL, names.LOOKS]["mean"] == num_looks
    assert found[names.PLAIN, names.DIVERSITY_USERS]["mean"] == 0.0
    assert set(found) == {(arm, kind) for arm in (names.PLAIN, names.PERSONAL) for kind in (
        names.DIVERSITY_USERS, names.DIVERSITY_ITEMS)} | {(names.PERSONAL, names.LOOKS)}  # fmt: skip


def test_distances_are_to_real_covers_segment_by_segment() -> None:
    looked, real = planted(4), 0.3 * np.random.default_rng(2).normal(size=(60, WIDTH))
    found = by_name(looked, real)
    mine = looked.vectors_IUE[names.PERSONAL]
    expected = np.mean([frechet_distance(mine[:, user], real) for user in range(SEGMENTS)])
    assert found[names.PERSONAL, names.FRECHET]["mean"] == pytest.approx(expected, abs=1e-5)
    assert found[names.PERSONAL, names.KERNEL]["low"] > found[names.PLAIN, names.KERNEL]["high"]


def test_one_item_has_none() -> None:
    looked = planted(2)
    alone = Looked(vectors_IUE={arm: rows[:1] for arm, rows in looked.vectors_IUE.items()}, candidates_IUKE={})
    assert arm_rows(alone, None, samples=10, seed=1) == []
