"""Decides whether a challenger becomes champion: canaries within bounds, then no worse than the champion or the baselines.

Pure: figures in, decision and reason out.
"""

from dataclasses import dataclass
from typing import Any

from icg_tasks.config.settings import PreferenceSettings
from icg_tasks.models.statistics import Interval


@dataclass(frozen=True, kw_only=True)
class Canaries:
    """What must hold of any preference model, whatever its AUC."""

    calibration_error: float
    calibration_noise: float  # the part of it that luck alone would show on so few rows
    dispersion: float  # standard deviation of served scores over judged rows, in logits
    own_minus_swapped: Interval  # AUC with the user's own vector minus that with another user's

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six digits."""
        return {
            "calibration_error": round(self.calibration_error, 6),
            "calibration_noise": round(self.calibration_noise, 6),
            "dispersion": round(self.dispersion, 6),
            "own_minus_swapped_auc": self.own_minus_swapped.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Accepted or not, and why, in words for an operator."""

    accepted: bool
    reason: str


def canary_alarm(canaries: Canaries, settings: PreferenceSettings) -> str | None:
    """The first canary out of bounds, in words, or None."""
    bound = settings.max_canary_calibration + canaries.calibration_noise
    if not canaries.calibration_error <= bound:
        return (
            f"calibration error {canaries.calibration_error:.4f} is above {bound:.4f} "
            f"({settings.max_canary_calibration} and {canaries.calibration_noise:.4f} that is luck on so few rows)"
        )
    low, high = settings.min_canary_dispersion, settings.max_canary_dispersion
    if not low <= canaries.dispersion <= high:
        return f"served scores have a standard deviation of {canaries.dispersion:.4f}, outside {low} to {high}"
    if canaries.own_minus_swapped.high < 0:
        return (
            "another user's vector predicts clicks better than the user's own "
            f"(AUC difference {canaries.own_minus_swapped.mean:+.4f}, interval below zero)"
        )
    return None


def decide(
    auc: Interval,
    baselines: dict[str, Interval],
    difference_to_champion: Interval | None,
    canaries: Canaries,
    settings: PreferenceSettings,
) -> Decision:
    """Judge a challenger; ``baselines`` are AUCs by name, ``difference_to_champion`` its AUC minus the champion's (paired).

    Against a champion: non-inferior, the lower end of the interval above minus ``max_inferiority``. Without one: above the
    lower end of the best baseline's interval.
    """
    alarm = canary_alarm(canaries, settings)
    if alarm is not None:
        return Decision(accepted=False, reason=alarm)
    if difference_to_champion is not None:
        bound = -settings.max_inferiority
        accepted = difference_to_champion.low > bound
        sign = "above" if accepted else "not above"
        reason = f"AUC difference to the champion {_shown(difference_to_champion)}: lower end {sign} {bound:+.4f}"
        return Decision(accepted=accepted, reason=reason)
    best = max(sorted(baselines), key=lambda name: baselines[name].mean)
    accepted = auc.mean > baselines[best].low
    sign = "above" if accepted else "not above"
    reason = f"first model: AUC {auc.mean:.4f} is {sign} the lower end of the best baseline's, {best} {_shown(baselines[best])}"
    return Decision(accepted=accepted, reason=reason)


def _shown(found: Interval) -> str:
    return f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
