"""Values of arms and metrics to the table: means with bootstrap intervals over pairs, paired gains, Markdown.

Knows numbers and names. A row is {"arm", "metric", "mean", "low", "high", "n"}; a gain is the same of a difference between two
arms on the same pairs, or of one difference as a share of another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.evaluation.arms import (
    ARMS,
    BEST,
    LOGIT,
    METRICS,
    OWN,
    PERSONAL,
    PERSONAL_BEST,
    PLAIN,
    PLAIN_BEST,
    SWAPPED,
    WORLD_METRICS,
)

Values = Mapping[tuple[str, str], NDArray[np.float64]]
"""(arm, metric) to one value per pair."""
Row = dict[str, Any]

DIFFERENCES: Final = (
    (PERSONAL, OWN),
    (PERSONAL, PLAIN),
    (PERSONAL, SWAPPED),
    (PERSONAL_BEST, PLAIN_BEST),
    (SWAPPED, PLAIN),
    (BEST, PLAIN),
)
SHARES: Final = ((PERSONAL, PLAIN), (PERSONAL_BEST, PLAIN), (PLAIN_BEST, PLAIN))
"""Gains that are also told as a share of what the best achievable cover gains over the second arm."""


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """Bootstrap over pairs: how often each pair is drawn in each sample, as weights (S, P)."""

    weight_SP: NDArray[np.float64]

    @classmethod
    def over(cls, pairs: int, samples: int, seed: int) -> "Resampling":
        """``samples`` resamplings of ``pairs`` pairs, each as large as the original."""
        if pairs < 1 or samples < 1:
            raise DataCorrupt(f"{pairs} pairs and {samples} bootstrap samples: both must be at least 1")
        rng = np.random.default_rng(seed)
        counts = np.stack([np.bincount(rng.integers(pairs, size=pairs), minlength=pairs) for _ in range(samples)])
        return cls(weight_SP=counts / pairs)

    def means(self, value_P: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of the values in each sample."""
        return np.asarray(self.weight_SP @ value_P)


def interval_row(mean: float, drawn_S: NDArray[np.float64], count: int) -> Row:
    """Mean with the 2.5 and 97.5 percentiles of its bootstrap distribution, six digits."""
    low, high = np.percentile(drawn_S, [2.5, 97.5])
    return {"mean": round(float(mean), 6), "low": round(float(low), 6), "high": round(float(high), 6), "n": count}


def table_rows(values: Values, resampling: Resampling) -> list[Row]:
    """The table, arms and metrics in their fixed order; raises DataCorrupt for values that are not finite."""
    rows = []
    for arm in ARMS:
        for metric in METRICS:
            if (arm, metric) in values:
                value_P = _checked(values, arm, metric)
                found = interval_row(value_P.mean(), resampling.means(value_P), len(value_P))
                rows.append({"arm": arm, "metric": metric, **found})
    return rows


def gain_rows(values: Values, resampling: Resampling) -> list[Row]:
    """Paired differences between arms in the metrics that tell most: the true ones, or where nobody knows, the models'."""
    known = {metric for _, metric in values}
    metrics = [metric for metric in (WORLD_METRICS if LOGIT in known else METRICS) if metric in known]
    rows = []
    for arm, against in DIFFERENCES:
        for metric in metrics:
            if (arm, metric) in values and (against, metric) in values:
                difference_P = _checked(values, arm, metric) - _checked(values, against, metric)
                found = interval_row(difference_P.mean(), resampling.means(difference_P), len(difference_P))
                rows.append({"arm": arm, "against": against, "metric": metric, **found})
    return rows


def share_rows(values: Values, resampling: Resampling, metrics: Sequence[str]) -> list[Row]:
    """Gain over the unpersonalised cover as a share of what the best achievable cover gains over it."""
    rows = []
    for arm, against in SHARES:
        for metric in metrics:
            if any((name, metric) not in values for name in (arm, against, BEST)):
                continue
            base_P = _checked(values, against, metric)
            gain_P, most_P = _checked(values, arm, metric) - base_P, _checked(values, BEST, metric) - base_P
            most_S = resampling.means(most_P)
            if most_P.mean() <= 0 or (most_S <= 0).any():
                continue
            found = interval_row(gain_P.mean() / most_P.mean(), resampling.means(gain_P) / most_S, len(gain_P))
            rows.append({"arm": arm, "against": against, "metric": metric, **found})
    return rows


def markdown(rows: Sequence[Row], gains: Sequence[Row], shares: Sequence[Row], notes: Sequence[str]) -> str:
    """The table as Markdown: one line per arm, one column per metric, then gains, shares and remarks."""
    metrics = [metric for metric in METRICS if any(row["metric"] == metric for row in rows)]
    cell = {(row["arm"], row["metric"]): _cell(row) for row in rows}
    lines = [f"| arm | {' | '.join(metrics)} |", f"|---|{'---|' * len(metrics)}"]
    present = [arm for arm in ARMS if any((arm, metric) in cell for metric in metrics)]
    lines += [f"| {arm} | {' | '.join(cell.get((arm, metric), '–') for metric in metrics)} |" for arm in present]
    pairs = rows[0]["n"] if rows else 0
    lines += ["", f"Means over {pairs} pairs of segment and held-out item, with 95 % bootstrap intervals over pairs.", ""]
    if gains:
        lines += ["| paired difference | metric | mean |", "|---|---|---|"]
        lines += [f"| {row['arm']} − {row['against']} | {row['metric']} | {_cell(row)} |" for row in gains]
    if shares:
        lines += ["", "| share of the achievable gain | metric | mean |", "|---|---|---|"]
        lines += [f"| {row['arm']} over {row['against']} | {row['metric']} | {_cell(row)} |" for row in shares]
    lines += ["", *[f"- {note}" for note in notes]]
    return "\n".join(lines).rstrip() + "\n"


def _cell(row: Row) -> str:
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _checked(values: Values, arm: str, metric: str) -> NDArray[np.float64]:
    found = np.asarray(values[arm, metric], dtype=np.float64)
    if not np.isfinite(found).all():
        raise DataCorrupt(f"{metric} of {arm} is not finite on {int((~np.isfinite(found)).sum())} of {len(found)} pairs")
    return found
