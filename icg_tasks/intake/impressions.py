"""Impressions as validation sees them: users become keyed hashes, clicks and times are typed, nobody erased comes in."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.pseudonym import key_name
from icg_tasks.contracts.schemas import IMPRESSIONS, RAW_IMPRESSIONS, TIMESTAMP
from icg_tasks.intake.anomalies import Figure, share
from icg_tasks.intake.columns import Bools, Kind
from icg_tasks.intake.door import Door
from icg_tasks.intake.exposure import exposure_shift
from icg_tasks.intake.figures import impression_figures
from icg_tasks.intake.impression_rules import CHECKS, KINDS, ImpressionFacts
from icg_tasks.intake.rules import Check, Columns
from icg_tasks.intake.subject import Subject
from icg_tasks.intake.windows import PastDay, day_start_ms, days_before
from icg_tasks.lake.partitions import find_partition, latest_partition_before, read_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

_DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True)
class CataloguedFacts(ImpressionFacts):
    """And which day's catalogue it is."""

    catalogue: date


class Impressions(Subject[CataloguedFacts]):
    """``door``: keys, and who is erased."""

    name: ClassVar[str] = "impressions"
    raw: ClassVar[str] = keys.IMPRESSIONS_RAW
    clean: ClassVar[str] = keys.IMPRESSIONS
    quarantine: ClassVar[str] = keys.QUARANTINE_IMPRESSIONS
    raw_schema: ClassVar[pa.Schema] = RAW_IMPRESSIONS
    schema: ClassVar[pa.Schema] = IMPRESSIONS
    kinds: ClassVar[Mapping[str, Kind]] = KINDS

    def __init__(self, door: Door) -> None:
        self.door = door

    @property
    def checks(self) -> Sequence[Check[CataloguedFacts]]:
        """The row rules, in order."""
        return CHECKS

    @property
    def user_name(self) -> Callable[[str], str]:
        """Keyed hash of a raw id."""
        return self.door.name

    def facts(self, context: StageContext, day: date, _columns: Columns) -> CataloguedFacts:
        """Catalogue, and the ids of other days; raises DataMissing without a clean catalogue.

        A row counts where it was let in first: where a later day was validated before this one, as a back-fill does, that is
        the later day. In order of days there is nothing to be found there, so a date run again gives the same bytes.
        """
        catalogue, late = _catalogue_day(context, day), context.settings.intake.late_days
        return CataloguedFacts(
            day=day,
            settings=context.settings.intake,
            items=read_partition(context.store, keys.ITEMS, catalogue, ["item_id"]).column("item_id"),
            held=_quarantined_items(context.store, catalogue),
            earlier=_ids(context.store, days_before(day, late)),
            later=_ids(context.store, [day + timedelta(days=ahead) for ahead in range(1, late + 1)]),
            catalogue=catalogue,
        )

    def again(self, _context: StageContext, _day: date, facts: CataloguedFacts, clean: pa.Table) -> CataloguedFacts:
        """Ids of the day itself are taken too."""
        taken = [*facts.earlier.chunks, *clean.column("impression_id").chunks]
        return replace(facts, earlier=pa.chunked_array(taken, pa.string()))

    def columns_let_in(self, columns: Columns) -> Columns:
        """Users under their keyed hashes."""
        return {**columns, "user_id": self.door.named(columns["user_id"])}

    def kept_out(self, columns: Columns, day: date) -> Bools:
        """Rows of users who asked to be forgotten."""
        return self.door.kept_out(columns["user_id"], columns["shown_at"], day)

    def order(self) -> list[tuple[str, str]]:
        """By time, then id."""
        return [("shown_at", "ascending"), ("impression_id", "ascending")]

    def table(self, columns: Columns, good: Bools, _facts: CataloguedFacts) -> pa.Table:
        """Rows of schema IMPRESSIONS by time, then id."""
        taken = np.flatnonzero(good)
        times, ids = columns["shown_at"].values[taken], columns["impression_id"].values.take(pa.array(taken))
        places = pc.sort_indices(pa.table({"shown_at": times, "impression_id": ids}), sort_keys=self.order()).to_numpy()
        order, values = taken[places], {"impression_id": ids.take(pa.array(places)), "shown_at": times[places]}

        def picked(name: str) -> Any:
            if name in values:
                return values[name]
            column = columns[name].values
            return column.take(pa.array(order)) if isinstance(column, pa.Array) else column[order]

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            values |= dict(zip(columns, pool.map(picked, columns), strict=True))
        clicked = values["clicked"] == 1
        values |= {
            "shown_at": pa.array(values["shown_at"], TIMESTAMP),
            "position": pa.array(values["position"].astype(np.int32)),
            "clicked": pa.array(clicked),
            "dwell_seconds": pa.array(np.where(clicked, values["dwell_seconds"], np.nan), from_pandas=True),
        }
        return pa.table({name: values[name] for name in IMPRESSIONS.names})

    def frame(self, clean: pa.Table, facts: CataloguedFacts) -> pa.Table:
        """The clean rows, clicks as 0/1, and two helper columns."""
        shown = clean.column("shown_at").cast(pa.int64()).to_numpy()
        late = (day_start_ms(facts.day) - shown + _DAY_MS - 1) // _DAY_MS
        at = clean.schema.get_field_index("clicked")
        frame = clean.set_column(at, "clicked", clean.column("clicked").cast(pa.int32()))
        frame = frame.append_column("item_known", pc.is_in(clean.column("item_id"), value_set=facts.items).cast(pa.int8()))
        return frame.append_column("days_late", pa.array(late, pa.int64()))

    def suite(self, context: StageContext, past: Sequence[PastDay], rows: int) -> list[Any]:
        """Expectations of a day's clean impressions."""
        from icg_tasks.intake.suites import impression_suite

        return impression_suite(context.settings.intake, past, rows)

    def profile(self, store: ObjectStore, clean: pa.Table, reasons: Mapping[str, int], facts: CataloguedFacts) -> list[Figure]:
        """Volume, click rate, share of items nobody knows, and how far what is shown has moved since the day before."""
        rows = clean.num_rows
        unknown = reasons.get("unknown_item", 0)
        clicks = pc.sum(clean.column("clicked").cast(pa.int64())).as_py() or 0
        found = [
            *super().profile(store, clean, reasons, facts),
            share("click_rate", clicks, rows),
            share("unknown_item_share", unknown, rows + unknown),
        ]
        moved = exposure_shift(store, facts.day, clean.column("item_id"))
        return (
            found if moved is None else [*found, Figure(name="exposure_shift", value=moved, noise=math.sqrt(2 / max(rows, 1)))]
        )

    def figures(self, clean: pa.Table, facts: CataloguedFacts) -> dict[str, Any]:
        """Clicks, late rows, whose catalogue it was, under which key users are."""
        figures = impression_figures([clean], facts.day)
        return figures | {"catalogue": facts.catalogue.isoformat(), "key": key_name(self.door.key)}


def _ids(store: ObjectStore, days: Sequence[date]) -> pa.ChunkedArray:
    """Impression ids of the clean days among these."""
    found = [
        read_partition(store, keys.IMPRESSIONS, day, ["impression_id"]).column("impression_id")
        for day in days
        if find_partition(store, keys.IMPRESSIONS, day) is not None
    ]
    return pa.chunked_array([chunk for column in found for chunk in column.chunks], pa.string())


def _catalogue_day(context: StageContext, day: date) -> date:
    """The day's own clean catalogue, or else the newest before it; raises DataMissing."""
    found = latest_partition_before(context.store, keys.ITEMS, day + timedelta(days=1))
    if found is None:
        raise DataMissing(f"no clean catalogue for {day} or earlier in {context.store.uri}; run `icg validate-items` first")
    return found


def _quarantined_items(store: ObjectStore, day: date) -> pa.Array:
    """Ids of items that are in quarantine on the catalogue's day."""
    if find_partition(store, keys.QUARANTINE_ITEMS, day) is None:
        return pa.array([], pa.string())
    rows = read_partition(store, keys.QUARANTINE_ITEMS, day, ["row_json"]).column("row_json").to_pylist()
    ids = {json.loads(row).get("item_id") for row in rows}
    return pa.array(sorted(entry for entry in ids if isinstance(entry, str)), pa.string())
