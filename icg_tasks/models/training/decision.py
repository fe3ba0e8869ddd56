"""Whether a generator's challenger serves: canaries, own covers against swapped ones, and what changed since the start.

The rules that generators share; which figures are compared, and how far a canary may move, is each one's own. Pure functions.
Legend: P pairs or windows that are judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icg_tasks.models.statistics import Interval, group_counts, interval, weighted_mean

_BOOTSTRAP_SAMPLES = 500


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether the challenger serves, and why."""

    accepted: bool
    reason: str
    gain: Interval  # of the compared figure, challenger less start
    own_less_swapped: Interval  # of the challenger: what a cover is worth to its own user, less to another

    def to_json(self) -> dict[str, Any]:
        """As model cards and closing lines show it."""
        return {
            "accepted": self.accepted,
            "reason": self.reason,
            "gain": self.gain.to_json(),
            "own_less_swapped": self.own_less_swapped.to_json(),
        }


def outside(values: Mapping[str, float], limits: Mapping[str, tuple[float, float]]) -> list[str]:
    """A line for each value that is not within its limits; one that is no number is not.

    >>> outside({"saturation": 0.9}, {"saturation": (0.1, 0.6)})
    ['saturation 0.900 outside 0.100 to 0.600']
    """
    return [
        f"{name} {values[name]:.3f} outside {low:.3f} to {high:.3f}"
        for name, (low, high) in limits.items()
        if not low <= values[name] <= high
    ]


def decide(
    change_P: NDArray[np.float64],
    apart_P: NDArray[np.float64],
    broken: Sequence[str],
    *,
    figure: str,
    max_loss: float,
    found_better: bool,
    seed: int,
) -> Decision:
    """Judge by the low ends of bootstrap intervals (95 %).

    ``change_P``: the figure, challenger less start; ``apart_P``: what own covers are worth beyond swapped ones; ``broken``:
    canaries that moved; ``max_loss``: how much of the figure a healthy challenger may lose; ``found_better``: whether any
    checkpoint beat the start.
    """
    counts = group_counts(len(change_P), _BOOTSTRAP_SAMPLES, seed)
    gain = interval(lambda weights: weighted_mean(change_P, np.asarray(weights)), counts)
    apart = interval(lambda weights: weighted_mean(apart_P, np.asarray(weights)), counts)
    refusal = ""
    if not found_better:
        refusal = "no checkpoint was better than what it started from"
    elif broken:
        refusal = f"canaries: {'; '.join(broken)}"
    elif apart.low <= 0:
        refusal = f"own covers beat swapped ones by {apart.mean:.3f} only (low end {apart.low:.3f})"
    elif gain.low < -max_loss:
        refusal = f"{figure} changes by {gain.mean:+.3f}, low end {gain.low:+.3f} below -{max_loss}"
    reached = f"{figure} {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}], own over swapped {apart.mean:.3f}"
    return Decision(accepted=not refusal, reason=refusal or reached, gain=gain, own_less_swapped=apart)
