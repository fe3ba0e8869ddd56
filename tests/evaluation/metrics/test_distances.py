"""Fréchet and kernel distance: closed forms, symmetry, what small samples do, intervals."""

import numpy as np
import pytest

from icg_tasks.evaluation.metrics.frechet import (
    Gaussian,
    frechet_between,
    frechet_distance,
    frechet_row,
    small_sample_note,
)
from icg_tasks.evaluation.metrics.inputs import MetricInputError
from icg_tasks.evaluation.metrics.kernel import kernel_distance, kernel_row
from icg_tasks.evaluation.table import Resampling


def drawn(count: int, seed: int, shift: float = 0.0, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)) + shift


def gaussian(mean: list[float], covariance: np.ndarray) -> Gaussian:
    return Gaussian(mean_D=np.array(mean), covariance_DD=covariance)


def test_frechet_of_gaussians_in_closed_form() -> None:
    """Covariances that commute: |m - m'|^2 + sum (s - s')^2 of the deviations."""
    first = gaussian([1.0, 2.0], np.diag([4.0, 9.0]))
    second = gaussian([4.0, 6.0], np.diag([1.0, 25.0]))
    assert frechet_between(first, second) == pytest.approx(25 + 1 + 4)
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    turned = [gaussian([0.0, 0.0], turn @ one.covariance_DD @ turn.T) for one in (first, second)]
    assert frechet_between(*turned) == pytest.approx(1 + 4)


def test_frechet_of_covariances_that_do_not_commute() -> None:
    """2 x 2: Tr (AB)^(1/2) = sqrt(Tr AB + 2 sqrt(det AB))."""
    one, other = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.7], [-0.7, 3.0]])
    product = one @ other
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(one) + np.trace(other) - 2 * root
    first, second = gaussian([0.0, 0.0], one), gaussian([0.0, 0.0], other)
    assert frechet_between(first, second) == pytest.approx(expected)
    assert frechet_between(second, first) == pytest.approx(expected)


def test_a_set_is_at_no_distance_from_itself_even_where_covariance_is_flat() -> None:
    few = drawn(5, 1, width=32)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(few, few + 3.0) == pytest.approx(32 * 9, rel=1e-6)


def test_few_rows_of_many_features_give_the_same_by_the_smaller_matrix() -> None:
    """The row's shortcut against the definition, with one sample that weighs its items unevenly."""
    real, made = drawn(60, 13, width=12), drawn(6, 14, shift=0.4, width=12)
    weight = np.array([[3, 0, 1, 1, 0, 1]]) / 6
    row = frechet_row(made[:, None], real, Resampling(weight_SP=weight))
    assert row["mean"] == pytest.approx(frechet_distance(made, real), abs=1e-6)
    pair = frechet_row(made[:, None], real, Resampling(weight_SP=np.concatenate([weight, np.full((1, 6), 1 / 6)])))
    apart = frechet_between(Gaussian.of(real), Gaussian.of(made, weight[0])) - frechet_distance(made, real)
    assert pair["high"] - pair["low"] == pytest.approx(0.95 * abs(apart), abs=1e-5)


def test_covariance_is_numpys_and_weights_are_repeats() -> None:
    features = drawn(9, 2)
    assert Gaussian.of(features).covariance_DD == pytest.approx(np.cov(features.T))
    repeated = Gaussian.of(features[[0, 0, 1]])
    weights = np.array([2 / 3, 1 / 3, *np.zeros(7)])
    weighted = Gaussian.of(features, weights)
    assert weighted.mean_D == pytest.approx(repeated.mean_D)
    assert weighted.covariance_DD / (9 / 8) == pytest.approx(repeated.covariance_DD / (3 / 2))


def test_few_samples_make_frechet_too_high_and_leave_the_kernel_distance_where_it_is() -> None:
    real = drawn(1000, 3, width=16)
    frechet = {n: np.mean([frechet_distance(drawn(n, seed, width=16), real) for seed in range(10, 20)]) for n in (20, 200)}
    kernel = {n: np.mean([kernel_distance(drawn(n, seed, width=16), real) for seed in range(10, 20)]) for n in (20, 200)}
    assert frechet[20] > 5 * frechet[200] > 0
    assert abs(kernel[20]) < 0.05
    assert abs(kernel[200]) < 0.05
    assert small_sample_note(132, 128) is not None
    assert "132 covers and 128 features" in str(small_sample_note(132, 128))
    assert small_sample_note(1280, 128) is None


def test_kernel_distance_by_its_formula() -> None:
    first, second = drawn(4, 4), drawn(3, 5, shift=1.0)
    length = np.concatenate([(first**2).sum(1), (second**2).sum(1)]).mean()
    kernel = lambda x, y: (x @ y / length + 1) ** 3  # noqa: E731
    within = [
        np.mean([kernel(x, y) for i, x in enumerate(part) for j, y in enumerate(part) if i != j]) for part in (first, second)
    ]
    between = np.mean([kernel(x, y) for x in first for y in second])
    assert kernel_distance(first, second) == pytest.approx(sum(within) - 2 * between)
    assert kernel_distance(second, first) == pytest.approx(kernel_distance(first, second))
    assert kernel_distance(10 * first, 10 * second) == pytest.approx(kernel_distance(first, second))


def test_both_grow_with_the_shift() -> None:
    real = drawn(400, 6)
    for distance in (frechet_distance, kernel_distance):
        found = [distance(drawn(200, 7, shift), real) for shift in (0.0, 0.3, 1.0, 2.0)]
        assert np.all(np.diff(found) > 0)


def test_intervals_hold_the_estimate_and_tell_alike_from_unlike() -> None:
    real, like = drawn(200, 8), drawn(80, 9)[:, None]
    resampling = Resampling.over(80, 200, seed=1)
    alike, apart = kernel_row(like, real, resampling, seed=2), kernel_row(like + 1.0, real, resampling, seed=2)
    assert alike["low"] < 0 < alike["high"]
    assert apart["low"] > alike["high"]
    for row in (alike, apart, frechet_row(like + 1.0, real, resampling)):
        assert row["low"] < row["mean"] < row["high"]
        assert (row["n"], set(row)) == (80, {"mean", "low", "high", "n"})


def test_the_same_cover_for_everyone_costs_nothing_by_itself() -> None:
    """An unpersonalised arm repeats its covers for each segment; that must move neither distance."""
    real, made, resampling = drawn(100, 11), drawn(20, 12)[:, None], Resampling.over(20, 50, seed=1)
    repeated = np.repeat(made, 6, axis=1)
    assert kernel_row(repeated, real, resampling, seed=2) == kernel_row(made, real, resampling, seed=2)
    assert frechet_row(repeated, real, resampling) == frechet_row(made, real, resampling)
    assert kernel_row(made, real, resampling, seed=2)["mean"] == pytest.approx(kernel_distance(made[:, 0], real), abs=1e-6)
    two = np.concatenate([made, made + 1.0], axis=1)
    each = [frechet_distance(two[:, user], real) for user in range(2)]
    assert frechet_row(two, real, resampling)["mean"] == pytest.approx(np.mean(each), abs=1e-6)
    with pytest.raises(MetricInputError, match=r"expected \[items, users, features\]"):
        frechet_row(made[:, 0], real, resampling)


def test_a_kernel_interval_is_as_wide_as_the_estimate_varies() -> None:
    real = drawn(300, 10, shift=0.5)
    estimates = [kernel_distance(drawn(60, seed), real) for seed in range(100, 160)]
    row = kernel_row(drawn(60, 99)[:, None], real, Resampling.over(60, 300, seed=3), seed=4)
    assert 0.5 < (row["high"] - row["low"]) / (3.92 * np.std(estimates)) < 2.0


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_what_is_no_set_of_features_is_refused(distance) -> None:
    with pytest.raises(MetricInputError, match="at least 2 rows"):
        distance(drawn(1, 1), drawn(9, 1))
    with pytest.raises(MetricInputError, match="width 4 and 3"):
        distance(drawn(5, 1), drawn(5, 1, width=3))
    wrong = drawn(5, 1)
    wrong[2, 1] = np.nan
    with pytest.raises(MetricInputError, match="1 of 5 rows hold values that are not finite"):
        distance(wrong, drawn(5, 1))
