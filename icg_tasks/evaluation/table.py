"""Values of arms and metrics to the table: means with bootstrap intervals, paired gains, Markdown.

Knows numbers and names; what is resampled together is the caller's word. A row is {"arm", "metric", "mean", "low", "high",
"n"}; a gain is the same of a difference between two arms on the same pairs, or of one difference as a share of another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.evaluation.arms import (
    ALL_ARMS,
    ALL_METRICS,
    BEST,
    BLOCKS,
    HELD_OUT_LOGIT,
    LOGIT,
    METRICS,
    OWN,
    PAIR_METRICS,
    PERSONAL,
    PERSONAL_BEST,
    PLAIN,
    PLAIN_BEST,
    RIVALS,
    SWAPPED,
    WORLD_METRICS,
    rival_best,
    rival_plain,
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
    *((name, rival_plain(name)) for name in RIVALS),
    *((PERSONAL, name) for name in RIVALS),
    *((PERSONAL_BEST, rival_best(name)) for name in RIVALS),
)
SHARES: Final = (
    (PERSONAL, PLAIN),
    (PERSONAL_BEST, PLAIN),
    (PLAIN_BEST, PLAIN),
    *((arm, PLAIN) for name in RIVALS for arm in (name, rival_best(name))),
)
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

    def where(self, known_P: NDArray[np.bool_]) -> "Resampling":
        """The same samples over some of the pairs, left out where they hold none of those."""
        weight_SP = self.weight_SP[:, known_P]
        whole_S = weight_SP.sum(axis=1)
        return Resampling(weight_SP=weight_SP[whole_S > 0] / whole_S[whole_S > 0, None])

    def means(self, value_P: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of the values in each sample."""
        return np.asarray(self.weight_SP @ value_P)


def interval_row(mean: float, drawn_S: NDArray[np.float64], count: int) -> Row:
    """Mean with the 2.5 and 97.5 percentiles of its bootstrap distribution, six digits."""
    low, high = np.percentile(drawn_S, [2.5, 97.5])
    return {"mean": round(float(mean), 6), "low": round(float(low), 6), "high": round(float(high), 6), "n": count}


def table_rows(values: Values, resampling: Resampling) -> list[Row]:
    """Rows of the metrics that pairs have, in their fixed order; raises DataCorrupt for values that are not finite.

    Only the logit of held-out users may be NaN, at pairs whose segment has none; such pairs are left out of its rows.
    """
    rows = []
    for arm in ALL_ARMS:
        for metric in PAIR_METRICS:
            if (arm, metric) in values:
                value_P, drawn = _known(_checked(values, arm, metric), resampling)
                found = interval_row(value_P.mean(), drawn.means(value_P), len(value_P))
                rows.append({"arm": arm, "metric": metric, **found})
    return in_order(rows)


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Rows by arm and metric, each in the order in which this project names them."""
    return sorted(rows, key=lambda row: (ALL_ARMS.index(row["arm"]), ALL_METRICS.index(row["metric"])))


def gain_rows(values: Values, resampling: Resampling) -> list[Row]:
    """Paired differences between arms in the metrics that tell most: the true ones, or where nobody knows, the models'."""
    known = {metric for _, metric in values}
    metrics = [metric for metric in ((*WORLD_METRICS, HELD_OUT_LOGIT) if LOGIT in known else METRICS) if metric in known]
    rows = []
    for arm, against in DIFFERENCES:
        for metric in metrics:
            if (arm, metric) in values and (against, metric) in values:
                apart_P = _checked(values, arm, metric) - _checked(values, against, metric)
                difference_P, drawn = _known(apart_P, resampling)
                found = interval_row(difference_P.mean(), drawn.means(difference_P), len(difference_P))
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
            gain_P, drawn = _known(_checked(values, arm, metric) - base_P, resampling)
            most_P, _ = _known(_checked(values, BEST, metric) - base_P, resampling)
            most_S = drawn.means(most_P)
            if most_P.mean() <= 0 or (most_S <= 0).any():
                continue
            found = interval_row(gain_P.mean() / most_P.mean(), drawn.means(gain_P) / most_S, len(gain_P))
            rows.append({"arm": arm, "against": against, "metric": metric, **found})
    return rows


def markdown(rows: Sequence[Row], gains: Sequence[Row], shares: Sequence[Row], notes: Sequence[str]) -> str:
    """The table as Markdown, in blocks: one line per arm, one column per metric; then gains, shares and remarks."""
    blocks = [lines for title, metrics in BLOCKS if (lines := _block(rows, title, metrics))]
    lines = [line for block in blocks for line in [*block, ""]]
    if gains:
        lines += ["| paired difference | metric | mean |", "|---|---|---|"]
        lines += [f"| {row['arm']} − {row['against']} | {row['metric']} | {_cell(row)} |" for row in gains]
    if shares:
        lines += ["", "| share of the achievable gain | metric | mean |", "|---|---|---|"]
        lines += [f"| {row['arm']} over {row['against']} | {row['metric']} | {_cell(row)} |" for row in shares]
    lines += ["", *[f"- {note}" for note in notes]]
    return "\n".join(lines).rstrip() + "\n"


def _block(rows: Sequence[Row], title: str, metrics: Sequence[str]) -> list[str]:
    cell = {(row["arm"], row["metric"]): _cell(row) for row in rows}
    metrics = [metric for metric in metrics if any(name == metric for _, name in cell)]
    if not metrics:
        return []
    present = [arm for arm in ALL_ARMS if any((arm, metric) in cell for metric in metrics)]
    return [
        f"**{title}**",
        "",
        f"| arm | {' | '.join(metrics)} |",
        f"|---|{'---|' * len(metrics)}",
        *(f"| {arm} | {' | '.join(cell.get((arm, metric), '–') for metric in metrics)} |" for arm in present),
    ]


def _cell(row: Row) -> str:
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _checked(values: Values, arm: str, metric: str) -> NDArray[np.float64]:
    """The values, finite but for the held-out users of segments that have none (NaN)."""
    found = np.asarray(values[arm, metric], dtype=np.float64)
    wrong_P = ~np.isfinite(found) & ~(np.isnan(found) & (metric == HELD_OUT_LOGIT))
    if wrong_P.any():
        raise DataCorrupt(f"{metric} of {arm} is not finite on {int(wrong_P.sum())} of {len(found)} pairs")
    return found


def _known(value_P: NDArray[np.float64], resampling: Resampling) -> tuple[NDArray[np.float64], Resampling]:
    """Values that are there, and the resampling over them."""
    known_P = ~np.isnan(value_P)
    return (value_P, resampling) if known_P.all() else (value_P[known_P], resampling.where(known_P))
