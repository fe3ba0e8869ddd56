"""Running deviation of a reward, so that weights compare rewards of different units. Knows numbers."""

import math
from collections.abc import Mapping

from torch import Tensor

from icg_tasks.contracts.errors import IcgError

_DECAY = 0.95


class RewardNotFinite(IcgError):
    """A reward is no number; one such batch would spoil the running scale for good."""


class RunningScale:
    """Mean and variance of each named reward over recent batches; plain numbers, so that they can be saved as JSON."""

    def __init__(self, floors: Mapping[str, float]) -> None:
        self.floors = dict(floors)
        self.moments: dict[str, list[float]] = {}

    def normalise(self, name: str, values: Tensor) -> Tensor:
        """(values - running mean) / running deviation; the batch itself counts in first. Gradients flow through values.

        Mean and variance move by a twentieth of the way to each batch's. Raises RewardNotFinite, the scale unchanged, where a
        value is infinite or no number.
        """
        seen = values.detach().double()
        mean, variance = float(seen.mean()), float(seen.var(unbiased=False))
        if not math.isfinite(mean) or not math.isfinite(variance):
            wrong = int((~seen.isfinite()).sum())
            raise RewardNotFinite(
                f"reward {name} is not finite for {wrong} of {seen.numel()} images; look at its judge's precision and at the "
                "images of this step, or leave the reward out (weight 0)"
            )
        if name in self.moments:
            old_mean, old_variance = self.moments[name]
            mean, variance = _DECAY * old_mean + (1 - _DECAY) * mean, _DECAY * old_variance + (1 - _DECAY) * variance
        self.moments[name] = [mean, variance]
        deviation = max(variance**0.5, self.floors.get(name, 1e-6))
        normalised: Tensor = (values - mean) / deviation
        return normalised
