"""Figures and their intervals: AUC, per-group AUC, NDCG, calibration, bootstrap over groups. Pure numpy.

Every figure takes weights, so that resampling whole groups (users) is a matter of counting each group 0, 1, 2, … times: no
row is copied. Knows numbers; nothing of models or data sets. Legend: N rows, G groups, S bootstrap samples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icg_tasks.contracts.errors import IcgError

Floats = NDArray[np.float64]
Figure = Callable[[Floats], float]
"""From a weight per group [G] to a figure (NaN where it is not defined)."""


class NoFigureError(IcgError):
    """The rows do not suffice for the figure that was asked for."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure on all rows and the 2.5 and 97.5 percentiles of its bootstrap distribution."""

    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Rounded to six digits, so that reports stay readable."""
        return {"mean": round(self.mean, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


def auc(labels: Floats, scores: Floats, weights: Floats | None = None) -> float:
    """Probability that a positive scores above a negative, ties counting half; NaN without both kinds.

    >>> auc(np.array([1.0, 0.0, 1.0, 0.0]), np.array([3.0, 2.0, 2.0, 1.0]))
    0.875
    >>> auc(np.array([1.0, 0.0, 0.0]), np.array([2.0, 1.0, 9.0]), np.array([1.0, 3.0, 1.0]))
    0.75
    """
    return AucOf(labels, scores)(np.ones(len(labels)) if weights is None else weights)


class AucOf:
    """AUC of fixed labels and scores for many weightings: sorted once."""

    def __init__(self, labels: Floats, scores: Floats) -> None:
        self.order = np.argsort(scores, kind="stable")
        ordered = scores[self.order]
        self.positive = labels[self.order] > 0.5
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, dtype=np.int64)

    def __call__(self, weights: Floats) -> float:
        """AUC with a weight per row [N]."""
        if not len(self.starts):
            return float("nan")
        ordered = weights[self.order]
        positives = np.add.reduceat(np.where(self.positive, ordered, 0.0), self.starts)
        negatives = np.add.reduceat(np.where(self.positive, 0.0, ordered), self.starts)
        pairs = positives.sum() * negatives.sum()
        if pairs <= 0:
            return float("nan")
        below = np.cumsum(negatives) - negatives
        return float((positives * (below + 0.5 * negatives)).sum() / pairs)


def auc_per_group(labels: Floats, scores: Floats, groups: NDArray[np.int64], num_groups: int) -> Floats:
    """AUC inside each group [G]; NaN for a group without both kinds.

    >>> auc_per_group(np.array([1.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1]), 2)
    array([ 0., nan])
    """
    order = np.lexsort((scores, groups))
    label, score, group = labels[order] > 0.5, scores[order], groups[order]
    found = np.full(num_groups, np.nan)
    if not len(group):
        return found
    run = np.flatnonzero(np.r_[True, (group[1:] != group[:-1]) | (score[1:] != score[:-1])])
    positives, negatives = np.add.reduceat(label * 1.0, run), np.add.reduceat(~label * 1.0, run)
    owner = group[run]
    totals = np.bincount(owner, negatives, num_groups)
    before = np.cumsum(negatives) - negatives
    before -= np.r_[0.0, np.cumsum(totals)[:-1]][owner]
    wins = np.bincount(owner, positives * (before + 0.5 * negatives), num_groups)
    pairs = np.bincount(owner, positives, num_groups) * totals
    found[pairs > 0] = wins[pairs > 0] / pairs[pairs > 0]
    return found


def ndcg_per_group(labels: Floats, scores: Floats, groups: NDArray[np.int64], num_groups: int, top: int = 10) -> Floats:
    """NDCG of the first ``top`` of each group [G], gains 0 or 1, discount 1 / log2(rank + 2); NaN without a positive.

    Equal scores share their places: each gets the mean discount of the tie, so no row order can flatter a constant.

    >>> ndcg_per_group(np.array([0.0, 1.0, 0.0]), np.array([3.0, 2.0, 1.0]), np.zeros(3, dtype=int), 1).round(4)
    array([0.6309])
    """
    order = np.lexsort((-scores, groups))
    label, score, group = labels[order], scores[order], groups[order]
    found = np.full(num_groups, np.nan)
    if not len(group):
        return found
    sizes = np.bincount(group, minlength=num_groups)
    starts = np.r_[0, np.cumsum(sizes)[:-1]]
    rank = np.arange(len(group)) - starts[group]
    discount = np.where(rank < top, 1.0 / np.log2(rank + 2.0), 0.0)
    run = np.r_[True, (group[1:] != group[:-1]) | (score[1:] != score[:-1])]
    tie = np.cumsum(run) - 1
    shared = (np.bincount(tie, discount) / np.bincount(tie))[tie]
    gained = np.bincount(group, label * shared, num_groups)
    clicks = np.bincount(group, label, num_groups).astype(np.int64)
    ideal = np.r_[0.0, np.cumsum(1.0 / np.log2(np.arange(top) + 2.0))][np.minimum(clicks, top)]
    found[ideal > 0] = gained[ideal > 0] / ideal[ideal > 0]
    return found


def calibration_bins(labels: Floats, chances: Floats, num_bins: int = 15) -> list[dict[str, float]]:
    """Equal-mass bins by predicted chance: rows, mean predicted, mean seen.

    >>> calibration_bins(np.array([0.0, 1.0]), np.array([0.2, 0.7]), 2)[1]
    {'rows': 1.0, 'predicted': 0.7, 'seen': 1.0}
    """
    order = np.argsort(chances, kind="stable")
    parts = [part for part in np.array_split(order, num_bins) if len(part)]
    return [
        {"rows": float(len(part)), "predicted": float(chances[part].mean()), "seen": float(labels[part].mean())}
        for part in parts
    ]


class CalibrationErrorOf:
    """Expected calibration error over fixed equal-mass bins, for many weightings."""

    def __init__(self, labels: Floats, chances: Floats, num_bins: int = 15) -> None:
        self.gap = chances - labels
        self.bin = np.empty(len(labels), dtype=np.int64)
        for number, part in enumerate(np.array_split(np.argsort(chances, kind="stable"), num_bins)):
            self.bin[part] = number

    def __call__(self, weights: Floats) -> float:
        """Mean over bins of |mean predicted - mean seen|, each bin by its weight; rows weighted by ``weights`` [N]."""
        total = weights.sum()
        return float(np.abs(np.bincount(self.bin, weights * self.gap)).sum() / total) if total > 0 else float("nan")


def calibration_error(labels: Floats, chances: Floats, num_bins: int = 15) -> float:
    """Expected calibration error with equal-mass bins.

    >>> round(calibration_error(np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.1, 0.9, 0.9, 0.1]), 2), 3)
    0.1
    """
    return CalibrationErrorOf(labels, chances, num_bins)(np.ones(len(labels)))


def calibration_noise(chances: Floats, num_bins: int = 15) -> float:
    """The calibration error that perfectly calibrated chances would show on these rows by luck alone.

    Mean absolute deviation of a normal with the bins' binomial variances, sqrt(2 / pi) x deviation.

    >>> round(calibration_noise(np.full(100, 0.5), 1), 4)
    0.0399
    """
    order = np.argsort(chances, kind="stable")
    variances = [float((chances[part] * (1 - chances[part])).sum()) for part in np.array_split(order, num_bins)]
    return float(np.sqrt(2.0 / np.pi) * np.sqrt(variances).sum() / max(len(chances), 1))


def weighted_mean(values_G: Floats, weights_G: Floats) -> float:
    """Mean of the values that are defined, by weight; NaN where none is.

    >>> weighted_mean(np.array([1.0, np.nan, 4.0]), np.array([1.0, 5.0, 2.0]))
    3.0
    """
    known = ~np.isnan(values_G)
    total = weights_G[known].sum()
    return float((values_G[known] * weights_G[known]).sum() / total) if total > 0 else float("nan")


def group_counts(num_groups: int, num_samples: int, seed: int) -> Floats:
    """How often each group is drawn in each bootstrap sample [S, G]; every row sums to the number of groups.

    >>> group_counts(5, 3, seed=1).sum(axis=1)
    array([5., 5., 5.])
    """
    generator = np.random.default_rng(seed)
    drawn = generator.integers(num_groups, size=(num_samples, num_groups))
    return np.stack([np.bincount(row, minlength=num_groups) for row in drawn]).astype(np.float64)


def interval(figure: Figure, counts_SG: Floats) -> Interval:
    """A figure with its 95 % percentile interval; raises NoFigureError where all rows do not define it.

    >>> values = np.array([1.0, 2.0, 3.0, 4.0])
    >>> found = interval(lambda weights: weighted_mean(values, weights), group_counts(4, 400, seed=2))
    >>> found.mean, 1.0 <= found.low < 2.5 < found.high <= 4.0
    (2.5, True)
    """
    mean = figure(np.ones(counts_SG.shape[1]))
    if np.isnan(mean):
        raise NoFigureError(
            "a figure is not defined on these rows (it needs clicks and non-clicks); judge on more days or users"
        )
    drawn = np.array([figure(row) for row in counts_SG])
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (mean, mean)
    return Interval(mean=mean, low=float(low), high=float(high))


def mean_interval(values: Floats, num_samples: int, seed: int) -> Interval:
    """Mean of independent values with its bootstrap interval.

    >>> mean_interval(np.full(9, 2.0), 50, seed=1)
    Interval(mean=2.0, low=2.0, high=2.0)
    """
    return interval(lambda weights: weighted_mean(values, weights), group_counts(len(values), num_samples, seed))
