"""What a source of outside data hands over: raw data sets of a window of days, as ``icg ingest`` writes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from icg_tasks.intake.progress import Progress

Part = Callable[[], Mapping[date, pa.Table]]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a source that reads in pieces works with: a folder of its own that survives a kill, and a line of progress."""

    scratch: Path
    progress: Callable[[str, int], Progress]  # what, how much in all


@dataclass(frozen=True, kw_only=True)
class OutsideData:
    """``items``: one snapshot (schema RAW_ITEMS) for every day; ``parts``: each makes its rows by day of arrival
    (RAW_IMPRESSIONS) when its turn comes, the same rows whenever it is asked, so that only one part need be in memory.

    ``images``: key below raw/images/ → file; ``provenance``: JSON that goes into every partition's metadata, free of clocks;
    ``attribution``: licences and credits, printed on every ingest; ``counts``: whole numbers for the closing line.
    """

    items: pa.Table
    days: Sequence[date]
    parts: Sequence[Part]
    images: Mapping[str, Path]
    provenance: Mapping[str, Any]
    attribution: str
    counts: Mapping[str, int]

    @property
    def impressions(self) -> dict[date, pa.Table]:
        """Rows of all parts by day: for small data."""
        made = [part() for part in self.parts]
        return {day: pa.concat_tables([tables[day] for tables in made]).combine_chunks() for day in self.days}
