"""Diversity across users and items, and the resampling under it."""

import numpy as np
import pytest

from icg_tasks.evaluation.metrics.diversity import (
    diversity_across_items,
    diversity_across_items_row,
    diversity_across_users,
)
from icg_tasks.evaluation.metrics.inputs import MetricInputError
from icg_tasks.evaluation.metrics.resampling import over_groups, pair_means
from icg_tasks.evaluation.table import Resampling


def grid(items: float, users: float) -> np.ndarray:
    """Covers that lie on a line: one axis moves with the item, the other with the user."""
    return np.array([[[items * i, users * u] for u in range(2)] for i in range(2)])


def test_each_diversity_sees_its_own_axis() -> None:
    assert diversity_across_users(grid(7.0, 3.0)).tolist() == [3.0, 3.0]
    assert diversity_across_items(grid(7.0, 3.0)) == 7.0
    assert diversity_across_users(grid(7.0, 0.0)).tolist() == [0.0, 0.0]
    assert diversity_across_items(grid(0.0, 3.0)) == 0.0


def test_it_is_the_mean_over_all_pairs() -> None:
    features = np.random.default_rng(1).normal(size=(3, 4, 5))
    pairs = [np.linalg.norm(features[0, a] - features[0, b]) for a in range(4) for b in range(a)]
    assert diversity_across_users(features)[0] == pytest.approx(np.mean(pairs))
    pairs = [np.linalg.norm(features[a, u] - features[b, u]) for u in range(4) for a in range(3) for b in range(a)]
    assert diversity_across_items(features) == pytest.approx(np.mean(pairs))


def test_repeats_do_not_pull_the_interval_to_zero() -> None:
    features = np.random.default_rng(2).normal(size=(30, 2, 8))
    row = diversity_across_items_row(features, Resampling.over(30, 500, seed=1))
    assert row["low"] < row["mean"] < row["high"]
    middle = (row["low"] + row["high"]) / 2
    assert middle == pytest.approx(row["mean"], rel=0.02)  # with repeats as pairs it would be 1/30 lower
    assert row["n"] == 30


def test_weighted_pairs_are_the_pairs_of_the_rows_drawn() -> None:
    value = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 4.0], [2.0, 4.0, 0.0]])
    assert pair_means(value, np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])).tolist() == pytest.approx([7 / 3, 1.0])


def test_groups_are_drawn_whole_and_weigh_by_their_pairs() -> None:
    resampling = over_groups(["a"] * 3 + ["b"] * 1, 4000, seed=1)
    assert resampling.means(np.ones(4)) == pytest.approx(np.ones(4000))
    assert resampling.means(np.array([1.0, 1.0, 1.0, 0.0])).mean() == pytest.approx(0.25 + 0.5 * 0.75, abs=0.02)
    value = np.repeat(np.random.default_rng(3).normal(size=20), 6)  # six pairs of an item say the same
    alone, together = Resampling.over(120, 2000, 1).means(value), over_groups(np.repeat(range(20), 6).tolist(), 2000, 1)
    assert together.means(value).std() / alone.std() == pytest.approx(6**0.5, rel=0.15)


@pytest.mark.parametrize("shape", [(2, 2), (3, 1, 4), (3, 0, 4)])
def test_one_user_has_no_diversity_across_users(shape: tuple[int, ...]) -> None:
    with pytest.raises(MetricInputError, match="at least two users"):
        diversity_across_users(np.zeros(shape))
    with pytest.raises(MetricInputError, match="at least two items"):
        diversity_across_items(np.zeros((1, 3, 4)))
    with pytest.raises(MetricInputError, match="1 covers have features that are not finite"):
        diversity_across_items(np.array([[[1.0]], [[np.inf]]]))
