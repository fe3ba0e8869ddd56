"""What validation must be told about a data set: its names, its rules, its clean table, what the clean rows must hold.

One class per data set (``impressions``, ``items``); ``one_day`` does with each the same. Does not know the order of steps.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pyarrow as pa

from icg_tasks.intake.anomalies import Figure
from icg_tasks.intake.columns import Bools, Kind
from icg_tasks.intake.rules import Check, Columns, DayFacts, num_rows
from icg_tasks.intake.windows import PastDay
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

F = TypeVar("F", bound=DayFacts)


class Subject(ABC, Generic[F]):
    """A data set that validation lets in."""

    name: ClassVar[str]
    raw: ClassVar[str]
    clean: ClassVar[str]
    quarantine: ClassVar[str]
    raw_schema: ClassVar[pa.Schema]
    schema: ClassVar[pa.Schema]
    kinds: ClassVar[Mapping[str, Kind]]

    @property
    @abstractmethod
    def checks(self) -> Sequence[Check[F]]:
        """The row rules, in order."""

    @abstractmethod
    def facts(self, context: StageContext, day: date, columns: Columns) -> F:
        """What the rules may know about a day; raises DataMissing."""

    @abstractmethod
    def again(self, context: StageContext, day: date, facts: F, clean: pa.Table) -> F:
        """The same when quarantined rows of a day are judged again beside its clean rows: these are taken."""

    @abstractmethod
    def table(self, columns: Columns, good: Bools, facts: F) -> pa.Table:
        """The good rows in the clean schema, sorted as ``order`` says."""

    @abstractmethod
    def frame(self, clean: pa.Table, facts: F) -> pa.Table:
        """What the suite looks at: the clean rows, with helper columns."""

    @abstractmethod
    def suite(self, context: StageContext, past: Sequence[PastDay], rows: int) -> list[Any]:
        """Expectations of a day's frame."""

    @abstractmethod
    def order(self) -> list[tuple[str, str]]:
        """Columns and directions that the clean table is sorted by."""

    def columns_let_in(self, columns: Columns) -> Columns:
        """The columns as they go on: users under their keyed hashes."""
        return columns

    def kept_out(self, columns: Columns, _day: date) -> Bools:
        """Rows that must be kept nowhere (``columns`` as let in)."""
        return np.zeros(num_rows(columns), dtype=bool)

    @property
    def user_name(self) -> Callable[[str], str] | None:
        """How a quarantined row calls its user; None where the data set has none."""
        return None

    def figures(self, _clean: pa.Table, _facts: F) -> dict[str, Any]:
        """More about the clean rows, for the manifest and the closing line; JSON, without clocks."""
        return {}

    def said(self, _facts: F) -> dict[str, Any]:
        """What the closing line says that no manifest does."""
        return {}

    def remarks(self, _facts: F) -> list[str]:
        """What a person should read while the day is validated."""
        return []

    def profile(self, _store: ObjectStore, clean: pa.Table, _reasons: Mapping[str, int], _facts: F) -> list[Figure]:
        """Figures of the day that are held against the trailing weeks."""
        return [Figure(name="rows", value=float(clean.num_rows), noise=math.sqrt(clean.num_rows))]
