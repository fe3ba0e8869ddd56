"""Where a training is: counters and curves that a checkpoint keeps, the learning rate's course, and the lines a watcher reads.

Knows numbers; no model and no file.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_WARM_UP_STEPS = 6
_LAST_PACE = 0.1
_TELL_EVERY = 10


@dataclass(kw_only=True)
class Progress:
    """What a checkpoint holds besides tensors."""

    step: int = 0
    best_step: int = 0
    best_value: float = -math.inf
    rollbacks: int = 0
    caution: float = 1.0
    curves: list[dict[str, float]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)


def pace(done: int, total: int) -> float:
    """Factor of the learning rate: linear warm-up, then a half cosine down to a tenth.

    >>> [round(pace(done, 20), 2) for done in (0, 5, 6, 13, 20)]
    [0.17, 1.0, 1.0, 0.55, 0.1]
    """
    if done < _WARM_UP_STEPS:
        return (done + 1) / _WARM_UP_STEPS
    share = (done - _WARM_UP_STEPS) / max(1, total - _WARM_UP_STEPS)
    return _LAST_PACE + (1 - _LAST_PACE) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


@dataclass(kw_only=True)
class Teller:
    """Every tenth step: its figures, seconds per step so far, and about how long the rest takes."""

    total: int
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _began: tuple[int, float] | None = None

    def begin(self, step: int) -> None:
        """The first step of this run is about to start."""
        self._began = (step, self.clock())

    def step(self, step: int, parts: dict[str, float]) -> None:
        """A step is done."""
        if step % _TELL_EVERY and step != self.total:
            return
        told = " ".join(f"{name} {number:.3f}" for name, number in parts.items())
        self.say(f"step {step} of {self.total}: {told}{self._left(step)}")

    def _left(self, step: int) -> str:
        if self._began is None or step <= self._began[0]:
            return ""
        seconds = (self.clock() - self._began[1]) / (step - self._began[0])
        return f" ({seconds:.2f} s a step, about {seconds * (self.total - step):.0f} s left)"
