"""Where covers are shown, and how much the place alone moves a click: surfaces, positions, hours of the day.

Knows no user and no item. All effects are in logits.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SLOTS: Final = 10
"""Covers on one page, positions 0 to 9."""


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A kind of page: share of page views, logit at the first position, logit lost per doubling of the position."""

    name: str
    share: float
    first: float
    fall: float


SURFACES: Final = (
    Surface(name="home", share=0.5, first=0.10, fall=0.30),
    Surface(name="search", share=0.3, first=0.45, fall=0.42),
    Surface(name="similar", share=0.2, first=-0.20, fall=0.18),
)
REFERENCE_SURFACE: Final = 0
REFERENCE_POSITION: Final = 3
"""Where true probabilities are quoted: the fourth cover of the home page."""

_HOURLY: Final = np.array([2, 1, 1, 1, 1, 2, 4, 6, 7, 6, 5, 5, 6, 6, 5, 5, 6, 7, 9, 11, 12, 11, 8, 4], dtype=np.float64)


def position_bias(surface: NDArray[np.int64], position: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logit of the place: ``surface`` indexes SURFACES, ``position`` counts from 0.

    >>> position_bias(np.array([0, 0]), np.array([0, 1])).round(2).tolist()
    [0.1, -0.2]
    """
    first = np.array([entry.first for entry in SURFACES])
    fall = np.array([entry.fall for entry in SURFACES])
    return np.asarray(first[surface] - fall[surface] * np.log2(1.0 + position))


def moments(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Milliseconds since midnight of ``count`` page views, busier in the evening."""
    hours = rng.choice(24, size=count, p=_HOURLY / _HOURLY.sum())
    return hours * 3_600_000 + rng.integers(0, 3_600_000, size=count)
