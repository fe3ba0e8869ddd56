"""Whether a checkpoint is healthy, how good it is, and whether it becomes champion. Pure functions of checks."""

from collections.abc import Mapping

from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.check import PREFERENCE, Check
from icg_tasks.models.image_statistics import IMAGE_STATISTICS
from icg_tasks.models.rewards.chosen import reward_weights
from icg_tasks.models.rewards.table import REWARDS
from icg_tasks.models.training import decision
from icg_tasks.models.training.decision import Decision, outside

_NOISES = 5.0
_NOBODY_SHARE = 0.25
MAX_LOSS = 0.05
"""Preference, in deviations of served scores, that a challenger may lose against the adapter it started from (low end)."""


def value(check: Check, settings: AdapterSettings) -> float:
    """What checkpoints are chosen by: the trained rewards on items set aside, personal covers before unpersonalised ones.

    Each reward counts by its weight, in units of five times the deviation that is noise for it; preference in deviations of
    served scores.
    """
    figures, total = check.figures, 0.0
    for name, weight in reward_weights(settings).items():
        if name == PREFERENCE:
            personal, plain, unit = float(check.own_P.mean()), check.nobody, 1.0
        else:
            personal, plain = figures.get(f"{name}_personal", 0.0), figures.get(f"{name}_plain", 0.0)
            unit = _NOISES * REWARDS[name].floor
        total += weight * ((1 - _NOBODY_SHARE) * personal + _NOBODY_SHARE * plain) / unit
    return total


def broken_canaries(check: Check, start: Check, liked: Mapping[str, float] | None = None) -> list[str]:
    """What has moved further than it may from the starting adapter and from the real covers that readers like; empty = healthy.

    ``liked``: image statistics of those covers (``liked.liked_statistics``); None: the start alone tells what is usual.
    """
    now, before = check.canaries, start.canaries
    usual = {name: sorted((before[name], (liked or before)[name])) for name in IMAGE_STATISTICS}
    limits = {
        "dark_share": (-1.0, usual["dark_share"][1] + 0.15),
        "edge_density": (0.6 * usual["edge_density"][0], 1.6 * usual["edge_density"][1]),
        "saturation": (usual["saturation"][0] - 0.15, usual["saturation"][1] + 0.15),
        "diversity_users": (0.75 * before["diversity_users"], 9.0),
        "diversity_items": (0.75 * before["diversity_items"], 9.0),
        "title_found": (before["title_found"] - 0.12, 9.0),
        "title_found_plain": (before["title_found_plain"] - 0.15, 9.0),
    }
    return outside(now, limits)


def decide(best: Check, start: Check, best_step: int, seed: int, liked: Mapping[str, float] | None = None) -> Decision:
    """Compare pair by pair on items set aside; ``best_step`` 0 means that nothing better than the start was found."""
    return decision.decide(
        best.own_P - start.own_P,
        best.own_P - best.swapped_P,
        broken_canaries(best, start, liked),
        figure="preference",
        max_loss=MAX_LOSS,
        found_better=best_step > 0,
        seed=seed,
    )
