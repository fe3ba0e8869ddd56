"""Running deviation of a reward, so that weights compare rewards of different units. Knows numbers."""

from collections.abc import Mapping

from torch import Tensor

_DECAY = 0.95


class RunningScale:
    """Mean and variance of each named reward over recent batches; plain numbers, so that they can be saved as JSON."""

    def __init__(self, floors: Mapping[str, float]) -> None:
        self.floors = dict(floors)
        self.moments: dict[str, list[float]] = {}

    def normalise(self, name: str, values: Tensor) -> Tensor:
        """(values - running mean) / running deviation; the batch itself counts in first. Gradients flow through values."""
        seen = values.detach().double()
        mean, variance = float(seen.mean()), float(seen.var(unbiased=False))
        if name in self.moments:
            old_mean, old_variance = self.moments[name]
            mean, variance = _DECAY * old_mean + (1 - _DECAY) * mean, _DECAY * old_variance + (1 - _DECAY) * variance
        self.moments[name] = [mean, variance]
        deviation = max(variance**0.5, self.floors.get(name, 1e-6))
        normalised: Tensor = (values - mean) / deviation
        return normalised
