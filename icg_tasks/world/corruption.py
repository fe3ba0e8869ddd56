"""What goes wrong between the world and the log: rows that arrive late, twice, or spoilt, in known proportions.

Every kind of spoilt row is one line of a table. Works on the raw columns; knows nothing of tastes or clicks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, list[Any]]
"""Raw impression columns by name, all of one length."""

LATE_DAYS: Final = (1, 2, 3, 5)
_LATE_SHARES: Final = (0.55, 0.25, 0.15, 0.05)
TOO_LATE_DAYS: Final = 5
"""The longest delay: such a row is more than three days late, and no longer of use."""


@dataclass(frozen=True, kw_only=True)
class Spoil:
    """One way to spoil a row: the column and the value written there (given the value that stood there)."""

    column: str
    value: Callable[[Any], Any]


SPOILS: Final[dict[str, Spoil]] = {
    "null_impression_id": Spoil(column="impression_id", value=lambda _: None),
    "null_user_id": Spoil(column="user_id", value=lambda _: None),
    "null_item_id": Spoil(column="item_id", value=lambda _: None),
    "unparsable_time": Spoil(column="shown_at", value=lambda _: "yesterday, about noon"),
    "time_far_ahead": Spoil(column="shown_at", value=lambda old: f"9{old[1:]}"),
    "negative_position": Spoil(column="position", value=lambda old: -1 - old),
    "click_out_of_range": Spoil(column="clicked", value=lambda _: 7),
    "propensity_out_of_range": Spoil(column="propensity", value=lambda _: 1.7),
    "unknown_item": Spoil(column="item_id", value=lambda old: f"{old}-gone"),
    "absurd_dwell": Spoil(column="dwell_seconds", value=lambda _: 9.0e9),
    "unknown_surface": Spoil(column="surface", value=lambda _: "billboard"),
    "oversized_text": Spoil(column="user_id", value=lambda old: f"{old}{'x' * 4096}"),
}


def delays(count: int, late_share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Days between being shown and arriving, per row: mostly 0, ``late_share`` of the rows 1 to 5."""
    late = rng.random(count) < late_share
    return np.where(late, rng.choice(LATE_DAYS, size=count, p=_LATE_SHARES), 0)


def spoil(columns: Columns, share: float, rng: np.random.Generator) -> tuple[dict[str, int], set[int]]:
    """Spoil ``share`` of the rows in place, each in one way; returns the count of each way and the rows touched."""
    total = len(columns["impression_id"])
    rows = rng.permutation(total)[: round(share * total)].tolist()
    names = list(SPOILS)
    counts = dict.fromkeys(names, 0)
    for row, way in zip(rows, rng.integers(len(names), size=len(rows)).tolist(), strict=True):
        kind = SPOILS[names[way]]
        columns[kind.column][row] = kind.value(columns[kind.column][row])
        counts[names[way]] += 1
    return counts, set(rows)


def duplicate(columns: Columns, share: float, spoilt: set[int], rng: np.random.Generator) -> int:
    """Append exact copies of ``share`` of the rows (never of spoilt ones); returns how many."""
    total = len(columns["impression_id"])
    rows = [row for row in rng.permutation(total)[: round(share * total)].tolist() if row not in spoilt]
    for values in columns.values():
        values.extend([values[row] for row in rows])
    return len(rows)
