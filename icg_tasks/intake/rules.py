"""Row rules: each marks the rows it refuses; the first rule that refuses a row names the reason.

Rules are data, made by ``impression_rules`` and ``item_rules``; this module applies them. Does not know any data set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from icg_tasks.intake.columns import Bools, Column, Kind

Verdicts = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """``bad`` marks refused rows (one entry per row); ``expected`` and ``advice`` are for the person who reads quarantine."""

    reason: str
    column: str
    bad: Bools
    expected: str
    advice: str
    charged: bool = True  # counts against the failure budget


def presence_rules(columns: Mapping[str, Column], kinds: Mapping[str, Kind], nullable: set[str]) -> list[Rule]:
    """``missing_<column>`` where a needed value or its column is absent, ``malformed_<column>`` where it is unreadable."""
    rules = []
    for name, kind in kinds.items():
        column = columns[name]
        if name not in nullable:
            rules.append(
                Rule(
                    reason=f"missing_{name}",
                    column=name,
                    bad=column.missing,
                    expected="a value",
                    advice=f"send {name} with every row; where the whole column is absent, mend the export and deliver again",
                )
            )
        rules.append(
            Rule(
                reason=f"malformed_{name}",
                column=name,
                bad=column.malformed,
                expected=kind.value,
                advice=f"send {name} as {kind.value}",
            )
        )
    return rules


def unlike(column: Column, pattern: str) -> Bools:
    """Readable text that does not match a RE2 pattern."""
    matches: Bools = pc.match_substring_regex(column.values, pattern).fill_null(True).to_numpy(zero_copy_only=False)
    return ~matches & column.usable


def outside(column: Column, low: float, high: float, *, whole: bool = False, above_low: bool = False) -> Bools:
    """Readable numbers outside [low, high] (or (low, high]), and where ``whole`` also those that are not integers."""
    with np.errstate(invalid="ignore"):
        good = (column.values > low if above_low else column.values >= low) & (column.values <= high)
        if whole:
            good &= column.values == np.floor(column.values)
    bad: Bools = ~good & column.usable
    return bad


def verdicts(rules: Sequence[Rule], rows: int) -> Verdicts:
    """Per row: 0 where no rule refuses it, otherwise 1 + the index of the first that does."""
    found = np.zeros(rows, dtype=np.int32)
    for number, rule in enumerate(rules, start=1):
        found[(found == 0) & rule.bad] = number
    return found
