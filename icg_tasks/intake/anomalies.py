"""Figures of a day against the trailing weeks: robust z-scores, a warning or a refusal by settings.

z = (value - median of the past) / spread, where the spread joins what the past varied by (1.4826 times the median absolute
deviation), what chance does to a day of this size, and one per cent of the median. Pure; reads no store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot, sqrt
from statistics import median
from typing import Any

from icg_tasks.config.intake import IntakeSettings

_NORMAL = 1.4826
_SLACK = 0.01
USUAL, WARNING, REFUSED, TOO_EARLY = "usual", "warning", "refused", "no past yet"
ADVICE = {
    "rows": "compare with what the platform sent: missing or doubled files",
    "click_rate": "check the click logging: bots, a lost or doubled event",
    "unknown_item_share": "check whether catalogue and log come from the same system and day",
    "exposure_shift": "check what the recommender showed: a new ranking, a campaign, or a log of something else",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a day, and the standard deviation that chance alone gives it at this size."""

    name: str
    value: float
    noise: float


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A figure against its past: the median, the z-score, the days it was told from, and what that means."""

    name: str
    value: float
    usual: float | None
    z: float | None
    days: int
    verdict: str

    def as_json(self) -> dict[str, Any]:
        """Plain values, rounded."""
        rounded = {name: None if (v := getattr(self, name)) is None else round(v, 6) for name in ("value", "usual", "z")}
        return asdict(self) | rounded

    def in_words(self) -> str:
        """For the gate and the report."""
        return (
            f"anomaly: {self.name} is {self.value:.6g}, usually {self.usual:.6g} (robust z {self.z:+.1f}, {self.days} days); "
            f"{ADVICE.get(self.name, 'look at the day')}"
        )


def share(name: str, part: int, whole: int) -> Figure:
    """A share of rows, with the noise of that many draws (at least one of them counts).

    >>> share("click_rate", 25, 100)
    Figure(name='click_rate', value=0.25, noise=0.04330127018922193)
    """
    value = part / max(whole, 1)
    at_least = max(part, 1) / max(whole, 1)
    return Figure(name=name, value=value, noise=sqrt(at_least * max(1 - at_least, 0) / max(whole, 1)))


def robust_z(value: float, past: Sequence[float], noise: float) -> float:
    """The z-score described above (``past`` not empty).

    >>> round(robust_z(130, [100, 101, 99, 100, 500], 0.0), 1)
    16.8
    """
    usual = median(past)
    deviation = _NORMAL * median(abs(entry - usual) for entry in past)
    spread = hypot(deviation, noise, _SLACK * usual)
    return (value - usual) / spread if spread else 0.0


def judge_figures(figures: Sequence[Figure], past: Sequence[Mapping[str, float]], settings: IntakeSettings) -> list[Finding]:
    """Each figure against the same figure of past days (those that have it)."""
    found = []
    for figure in figures:
        values = [day[figure.name] for day in past if figure.name in day]
        if len(values) < settings.min_trailing_days:
            found.append(Finding(name=figure.name, value=figure.value, usual=None, z=None, days=len(values), verdict=TOO_EARLY))
            continue
        z = robust_z(figure.value, values, figure.noise)
        found.append(
            Finding(
                name=figure.name,
                value=figure.value,
                usual=median(values),
                z=z,
                days=len(values),
                verdict=_verdict(abs(z), settings),
            )
        )
    return found


def _verdict(size: float, settings: IntakeSettings) -> str:
    if settings.anomaly_refusal and size >= settings.anomaly_refusal:
        return REFUSED
    return WARNING if settings.anomaly_warning and size >= settings.anomaly_warning else USUAL
