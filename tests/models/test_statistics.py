import doctest

import numpy as np
import pytest

from icg_tasks.models import statistics
from icg_tasks.models.statistics import (
    AucOf,
    CalibrationErrorOf,
    NoFigureError,
    auc,
    auc_per_group,
    calibration_error,
    calibration_noise,
    group_counts,
    interval,
    mean_interval,
    ndcg_per_group,
    weighted_mean,
)


def brute_auc(labels, scores):
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels > 0] for n in scores[labels == 0]]
    return float(np.mean(pairs)) if pairs else float("nan")


def rows(seed, count=200, levels=9):
    rng = np.random.default_rng(seed)
    return (rng.random(count) < 0.3).astype(float), rng.integers(levels, size=count) / levels


def test_examples_in_the_docstrings_hold():
    found = doctest.testmod(statistics)
    assert found.attempted >= 12
    assert found.failed == 0


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_share_of_rightly_ordered_pairs_with_ties_counting_half(seed):
    labels, scores = rows(seed)
    assert auc(labels, scores) == pytest.approx(brute_auc(labels, scores), abs=1e-12)


def test_a_weight_counts_like_repeating_the_row():
    labels, scores = rows(3)
    times = np.random.default_rng(0).integers(4, size=len(labels))
    repeated = np.repeat(labels, times), np.repeat(scores, times)
    assert AucOf(labels, scores)(times.astype(float)) == pytest.approx(auc(*repeated), abs=1e-12)


def test_auc_of_one_kind_is_not_a_number():
    assert np.isnan(auc(np.ones(3), np.arange(3.0)))
    assert np.isnan(auc(np.zeros(0), np.zeros(0)))


def test_auc_per_group_is_the_auc_of_each_group():
    labels, scores = rows(1)
    groups = np.random.default_rng(2).integers(12, size=len(labels))
    found = auc_per_group(labels, scores, groups, 13)
    for group in range(12):
        expected = brute_auc(labels[groups == group], scores[groups == group])
        assert found[group] == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert np.isnan(found[12])


def test_ndcg_of_distinct_scores_is_the_textbook_formula():
    rng = np.random.default_rng(4)
    labels, scores, groups = (rng.random(300) < 0.3).astype(float), rng.permutation(300) / 300, rng.integers(9, size=300)
    found = ndcg_per_group(labels, scores, groups, 9)
    for group in range(9):
        mine = groups == group
        ranked = labels[mine][np.argsort(-scores[mine])][:10]
        best = np.sort(labels[mine])[::-1][:10]
        discount = 1 / np.log2(np.arange(10) + 2)
        assert found[group] == pytest.approx((ranked * discount[: len(ranked)]).sum() / (best * discount[: len(best)]).sum())


def test_ndcg_of_a_constant_does_not_depend_on_the_order_of_rows():
    labels = np.array([1.0] + [0.0] * 19)
    first = ndcg_per_group(labels, np.zeros(20), np.zeros(20, dtype=int), 1)
    last = ndcg_per_group(labels[::-1], np.zeros(20), np.zeros(20, dtype=int), 1)
    assert first == last
    assert 0 < first[0] < 0.5


def test_calibration_error_of_the_true_chances_is_about_the_noise_and_of_wrong_ones_is_the_gap():
    rng = np.random.default_rng(5)
    chances = rng.uniform(0.05, 0.4, size=60_000)
    labels = (rng.random(60_000) < chances).astype(float)
    assert calibration_error(labels, chances) == pytest.approx(calibration_noise(chances), abs=0.003)
    assert calibration_error(labels, chances + 0.1) == pytest.approx(0.1, abs=0.01)
    assert CalibrationErrorOf(labels, chances)(np.zeros(60_000)) != 0.0  # nothing weighed: not a number, never a perfect score


def test_the_bootstrap_resamples_whole_groups():
    counts = group_counts(50, 300, seed=1)
    assert (counts.sum(axis=1) == 50).all()
    assert (counts == group_counts(50, 300, seed=1)).all()
    assert not (counts == group_counts(50, 300, seed=2)).all()
    assert counts.mean() == pytest.approx(1.0)


def test_intervals_of_means_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(6)
    covered = [
        found.low <= 0.0 <= found.high for found in (mean_interval(rng.normal(size=60), 200, seed) for seed in range(120))
    ]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_an_undefined_figure_is_an_error_not_a_number():
    with pytest.raises(NoFigureError, match="clicks"):
        interval(lambda weights: weighted_mean(np.full(3, np.nan), weights), group_counts(3, 10, seed=0))
