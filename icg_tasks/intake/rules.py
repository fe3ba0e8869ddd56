"""Row rules as data: a table of checks per data set, applied in order; the first check that refuses a row names the reason.

Tables are in ``impression_rules`` and ``item_rules``; the documents and the budgets read the same tables. Does not know any
data set. A check is a pure function of parsed columns, of what is known about the day, and of the rows still in question.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.intake.columns import Bools, Column, Kind

Verdicts = npt.NDArray[np.int32]
Columns = Mapping[str, Column]


@dataclass(frozen=True, kw_only=True)
class DayFacts:
    """What a check may know besides the rows."""

    day: date
    settings: IntakeSettings

    @property
    def first(self) -> date:
        """The earliest day whose rows still count."""
        return self.day - timedelta(days=self.settings.late_days)


F_contra = TypeVar("F_contra", bound=DayFacts, contravariant=True)
Refuses = Callable[[Columns, F_contra, Bools], Bools]
"""Columns, facts, rows that no earlier check refused → rows refused (all one entry per row)."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A check as it is said about one day; ``expected`` and ``advice`` are for the person who reads quarantine."""

    reason: str
    column: str
    expected: str
    advice: str
    charged: bool = True  # counts against the failure budget


@dataclass(frozen=True, kw_only=True)
class Check(Generic[F_contra]):
    """``expected`` may name {day}, {first} and {settings.…} of the facts."""

    reason: str
    column: str
    refuses: Refuses[F_contra]
    expected: str
    advice: str
    charged: bool = True

    def said(self, *, day: object, first: object, settings: object) -> Rule:
        """The rule in words."""
        expected = self.expected.format(day=day, first=first, settings=settings)
        return Rule(reason=self.reason, column=self.column, expected=expected, advice=self.advice, charged=self.charged)


def said_about(checks: Sequence[Check[Any]], facts: DayFacts) -> list[Rule]:
    """Every check in words, in the order of the verdicts."""
    return [check.said(day=facts.day, first=facts.first, settings=facts.settings) for check in checks]


def judge(checks: Sequence[Check[F_contra]], columns: Columns, facts: F_contra) -> Verdicts:
    """Per row: 0 where no check refuses it, otherwise 1 + the index of the first that does."""
    found = np.zeros(num_rows(columns), dtype=np.int32)
    for number, check in enumerate(checks, start=1):
        candidates = found == 0
        found[candidates & check.refuses(columns, facts, candidates)] = number
    return found


def num_rows(columns: Columns) -> int:
    """Rows of parsed columns (at least one column)."""
    return len(next(iter(columns.values())).missing)


def presence_checks(kinds: Mapping[str, Kind], nullable: frozenset[str] = frozenset()) -> list[Check[DayFacts]]:
    """``missing_<column>`` where a needed value or its column is absent, ``malformed_<column>`` where it is unreadable."""
    checks = []
    for name, kind in kinds.items():
        if name not in nullable:
            advice = f"send {name} with every row; where the whole column is absent, mend the export and deliver again"
            checks.append(
                Check(reason=f"missing_{name}", column=name, refuses=_missing(name), expected="a value", advice=advice)
            )
        advice = f"send {name} as {kind.value}"
        checks.append(
            Check(reason=f"malformed_{name}", column=name, refuses=_malformed(name), expected=kind.value, advice=advice)
        )
    return checks


def _missing(name: str) -> Refuses[DayFacts]:
    return lambda columns, _facts, _candidates: columns[name].missing


def _malformed(name: str) -> Refuses[DayFacts]:
    return lambda columns, _facts, _candidates: columns[name].malformed


def unlike(name: str, pattern: str) -> Refuses[DayFacts]:
    """Readable text that does not match a RE2 pattern."""

    def refuses(columns: Columns, _facts: DayFacts, _candidates: Bools) -> Bools:
        column = columns[name]
        matches: Bools = pc.match_substring_regex(column.values, pattern).fill_null(True).to_numpy(zero_copy_only=False)
        return ~matches & column.usable

    return refuses


def outside(
    name: str, low: float, high: float | Callable[[DayFacts], float], *, whole: bool = False, above_low: bool = False
) -> Refuses[DayFacts]:
    """Readable numbers outside [low, high] (or (low, high]), and where ``whole`` also those that are not integers."""

    def refuses(columns: Columns, facts: DayFacts, _candidates: Bools) -> Bools:
        column, limit = columns[name], high(facts) if callable(high) else high
        with np.errstate(invalid="ignore"):
            good = (column.values > low if above_low else column.values >= low) & (column.values <= limit)
            if whole:
                good &= column.values == np.floor(column.values)
        bad: Bools = ~good & column.usable
        return bad

    return refuses


def is_in(column: Column, values: pa.Array | pa.ChunkedArray) -> Bools:
    """Readable text that is among these values."""
    found: Bools = pc.is_in(column.values, value_set=values.cast(pa.string())).to_numpy(zero_copy_only=False)
    return found & column.usable
