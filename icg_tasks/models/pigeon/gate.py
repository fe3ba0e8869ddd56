"""Whether a Pigeon is healthy, how good it is, and whether it becomes champion. Pure functions of checks."""

from dataclasses import dataclass

import numpy as np

from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.models.image_statistics import DARK_SHARE, EDGE_DENSITY, SATURATION
from icg_tasks.models.pigeon.check import Check
from icg_tasks.models.statistics import Interval, group_counts, interval, weighted_mean

_BOOTSTRAP_SAMPLES = 500
MAX_LOSS = 0.02
"""Score, in cosines, that a challenger may lose against the weights it started from (low end)."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether the challenger serves, and why."""

    accepted: bool
    reason: str
    gain: Interval  # score of both similarities, challenger less start
    own_less_swapped: Interval  # similarity to the own history less to others', of the challenger


def score(check: Check, settings: PigeonSettings) -> float:
    """What stage 2's checkpoints are chosen by."""
    share = settings.reference_weight
    return float(share * check.reference_B.mean() + (1 - share) * check.own_B.mean())


def broken_canaries(check: Check, start: Check) -> list[str]:
    """What has moved further from the starting weights than it may; empty = healthy."""
    now, before = check.canaries, start.canaries
    limits = {
        DARK_SHARE: (-1.0, before[DARK_SHARE] + 0.15),
        EDGE_DENSITY: (0.6 * before[EDGE_DENSITY], 1.6 * before[EDGE_DENSITY]),
        SATURATION: (before[SATURATION] - 0.15, before[SATURATION] + 0.15),
        "diversity": (0.75 * before["diversity"], 9.0),
    }
    return [
        f"{name} {now[name]:.3f} outside {low:.3f} to {high:.3f}"
        for name, (low, high) in limits.items()
        if not low <= now[name] <= high
    ]


def decide(best: Check, start: Check, best_step: int, settings: PigeonSettings) -> Decision:
    """Compare window by window; ``best_step`` 0 means that nothing better than the start was found."""
    counts = group_counts(len(best.own_B), _BOOTSTRAP_SAMPLES, settings.seed)
    share = settings.reference_weight
    change = share * (best.reference_B - start.reference_B) + (1 - share) * (best.own_B - start.own_B)
    gain = interval(lambda weights: weighted_mean(change, np.asarray(weights)), counts)
    apart = interval(lambda weights: weighted_mean(best.own_B - best.swapped_B, np.asarray(weights)), counts)
    broken = broken_canaries(best, start)
    if best_step == 0:
        accepted, reason = False, "no checkpoint was better than the weights it started from"
    elif broken:
        accepted, reason = False, f"canaries: {'; '.join(broken)}"
    elif apart.low <= 0:
        accepted, reason = False, f"covers are nearer to their own history than to others' by {apart.mean:.3f} only"
    elif gain.low < -MAX_LOSS:
        accepted, reason = False, f"score changes by {gain.mean:+.3f}, low end {gain.low:+.3f} below -{MAX_LOSS}"
    else:
        accepted, reason = (
            True,
            f"score {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}], own over swapped {apart.mean:.3f}",
        )
    return Decision(accepted=accepted, reason=reason, gain=gain, own_less_swapped=apart)
