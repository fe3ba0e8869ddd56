"""Whether a Pigeon is healthy, how good it is, and whether it becomes champion. Pure functions of checks."""

import math

import numpy as np

from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.models.image_statistics import DARK_SHARE, EDGE_DENSITY, SATURATION
from icg_tasks.models.pigeon.check import Check, Doubles
from icg_tasks.models.training import decision
from icg_tasks.models.training.decision import Decision, outside

_ONE_SIDED_95 = 1.645


def scores(check: Check, settings: PigeonSettings) -> Doubles:
    """Both similarities, weighted, window by window [B]."""
    share = settings.reference_weight
    return share * check.reference_B + (1 - share) * check.own_B


def score(check: Check, settings: PigeonSettings) -> float:
    """What stage 2's checkpoints are chosen by."""
    return float(scores(check, settings).mean())


def surely_better(found: Check, reference: Check, settings: PigeonSettings) -> bool:
    """Whether the mean gain over the same windows is above zero at 95 %, one-sided; fewer than two windows are never sure."""
    gains = scores(found, settings) - scores(reference, settings)
    if len(gains) < 2:
        return False
    return bool(gains.mean() > _ONE_SIDED_95 * np.std(gains, ddof=1) / math.sqrt(len(gains)))


def broken_canaries(check: Check, start: Check) -> list[str]:
    """What has moved further from the starting weights than it may; empty = healthy."""
    now, before = check.canaries, start.canaries
    limits = {
        DARK_SHARE: (-1.0, before[DARK_SHARE] + 0.15),
        EDGE_DENSITY: (0.6 * before[EDGE_DENSITY], 1.6 * before[EDGE_DENSITY]),
        SATURATION: (before[SATURATION] - 0.15, before[SATURATION] + 0.15),
        "diversity": (0.75 * before["diversity"], 9.0),
    }
    return outside(now, limits)


def decide(best: Check, start: Check, best_step: int, settings: PigeonSettings) -> Decision:
    """Compare window by window; ``best_step`` 0 means that nothing better than the start was found."""
    return decision.decide(
        scores(best, settings) - scores(start, settings),
        best.own_B - best.swapped_B,
        broken_canaries(best, start),
        figure="score",
        max_loss=settings.max_loss,
        found_better=best_step > 0,
        seed=settings.seed,
    )
