"""Judges predictors of clicks on users nobody learned from: figures with intervals, paired differences, calibration.

Ranking figures (AUC, per-user AUC, NDCG@10) compare what is served: no predictor is told the place of a cover. Calibration is
of the chance of a click in its place. Intervals resample users. Knows arrays; neither networks nor data sets.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icg_tasks.models.preference.samples import Samples
from icg_tasks.models.statistics import (
    AucOf,
    CalibrationErrorOf,
    Figure,
    Interval,
    NoFigureError,
    auc_per_group,
    calibration_bins,
    calibration_noise,
    group_counts,
    interval,
    ndcg_per_group,
    weighted_mean,
)

Doubles = NDArray[np.float64]
AUC, PER_USER_AUC, NDCG, CALIBRATION = "auc", "per_user_auc", "ndcg_at_10", "calibration_error"
RANKING = (AUC, PER_USER_AUC, NDCG)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One predictor's logits on the judged rows [R]: ``place_free`` ranks, ``in_place`` is a chance of a click."""

    place_free: Doubles
    in_place: Doubles


class Judge:
    """Fixed judged rows and fixed bootstrap samples, so that every comparison is paired."""

    def __init__(self, samples: Samples, num_samples: int, seed: int) -> None:
        self.labels = samples.clicked_R.astype(np.float64)
        users, self.group = np.unique(samples.group_R, return_inverse=True)
        self.num_users = len(users)
        self.counts = group_counts(self.num_users, num_samples, seed)

    def figures(self, prediction: Prediction) -> dict[str, Interval | None]:
        """All figures with intervals; None where these rows do not define one."""
        return {name: self._interval(figure) for name, figure in self._all(prediction).items()}

    def differences(self, first: Prediction, second: Prediction) -> dict[str, Interval | None]:
        """First minus second, paired by user."""
        ours, theirs = self._all(first), self._all(second)
        return {name: self._interval(_minus(ours[name], theirs[name])) for name in ours}

    def auc_difference(self, first: Doubles, second: Doubles) -> Interval:
        """AUC of the first logits minus that of the second, paired by user; raises NoFigureError without both kinds of rows."""
        return interval(_minus(self._auc(first), self._auc(second)), self.counts)

    def calibration_noise(self, prediction: Prediction) -> float:
        """The calibration error that luck alone would show on these rows."""
        return calibration_noise(_chance(prediction.in_place))

    def calibration_table(self, prediction: Prediction) -> list[dict[str, float]]:
        """Fifteen equal-mass bins: rows, mean predicted, mean seen."""
        return calibration_bins(self.labels, _chance(prediction.in_place))

    def _all(self, prediction: Prediction) -> dict[str, Figure]:
        inputs = self.labels, prediction.place_free, self.group, self.num_users
        per_user, ndcg = auc_per_group(*inputs), ndcg_per_group(*inputs)
        calibration = CalibrationErrorOf(self.labels, _chance(prediction.in_place))
        return {
            AUC: self._auc(prediction.place_free),
            PER_USER_AUC: lambda weights: weighted_mean(per_user, weights),
            NDCG: lambda weights: weighted_mean(ndcg, weights),
            CALIBRATION: lambda weights: calibration(weights[self.group]),
        }

    def _auc(self, logits: Doubles) -> Figure:
        of = AucOf(self.labels, logits)
        return lambda weights: of(weights[self.group])

    def _interval(self, figure: Figure) -> Interval | None:
        try:
            return interval(figure, self.counts)
        except NoFigureError:
            return None


def to_json(figures: dict[str, Interval | None]) -> dict[str, Any]:
    """Plain values for a card or a closing line."""
    return {name: found.to_json() if found else None for name, found in figures.items()}


def _minus(first: Figure, second: Figure) -> Figure:
    return lambda weights: first(weights) - second(weights)


def _chance(logits: Doubles) -> Doubles:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)))
