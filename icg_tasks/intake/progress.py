"""A line of progress for work of known size: a bar that redraws itself on a terminal, a line per tenth anywhere else.

Knows amounts and seconds; nothing of what is done.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_WIDTH = 24
_REDRAW_SECONDS = 0.5


@dataclass(kw_only=True)
class Progress:
    """``total`` amounts of ``what``; call ``add`` as they are done, ``end`` after the last. ``say`` prints a whole line."""

    what: str
    total: int
    say: Callable[[str], None]
    done: int = 0
    note: str = ""
    terminal: bool = field(default_factory=sys.stderr.isatty)
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _drawn: float = field(init=False, default=-1.0)
    _tenth: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def add(self, amount: int, note: str = "") -> None:
        """So much more is done; ``note`` stands behind the bar."""
        self.done, self.note = min(self.done + amount, self.total), note
        now = self.clock()
        if self.terminal and now - self._drawn >= _REDRAW_SECONDS:
            print(f"\r{self.line()}\033[K", end="", file=sys.stderr, flush=True)
            self._drawn = now
        tenth = 10 * self.done // max(self.total, 1)
        if not self.terminal and tenth > self._tenth:
            self._tenth = tenth
            self.say(self.line())

    def end(self) -> None:
        """Leave the last state as a line."""
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self.say(self.line())

    def line(self) -> str:
        """What, a bar, per cent, and the seconds that are left at this pace."""
        share = self.done / max(self.total, 1)
        filled = round(_WIDTH * share)
        seconds = self.clock() - self._started
        left = f", {seconds * (1 - share) / share:.0f} s left" if 0 < share < 1 else ""
        note = f", {self.note}" if self.note else ""
        return f"{self.what} [{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%}{note}{left}"
