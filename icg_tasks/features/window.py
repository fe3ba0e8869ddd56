"""Which days of the window need their partial sums computed, and from what: pure bookkeeping over manifests.

A day's sums stay valid while the files they came from stay the same; a fingerprint of those files, kept in the partition's
metadata, says so. Nothing dated later than the run date is looked at. Knows manifests; neither Spark nor vectors.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from icg_tasks.config.features import EventSettings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.partitions import COVER_FEATURES, IMPRESSIONS, ITEM_FEATURES
from icg_tasks.features.spaces import COLLABORATIVE, CONTENT, Space
from icg_tasks.lake.partitions import Partition, find_partition, list_partition_dates
from icg_tasks.lake.store import ObjectStore

SUMS_VERSION = 1
"""Raise when the meaning of a partial sum changes: every day is then computed anew."""


@dataclass(frozen=True, kw_only=True)
class DayPlan:
    """One day of the window: its rows, the item vectors that stand for that day's catalogue, and its sums if still valid."""

    day: date
    impressions: Partition
    items: Partition
    fingerprint: str
    sums: Partition | None


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """All days of a window that have impressions, oldest first, and the generated covers' vectors they may need."""

    days: list[DayPlan]
    covers: list[Partition]
    encoder: str
    width: int
    space: Space = CONTENT

    @property
    def missing(self) -> list[DayPlan]:
        """Days whose sums must be computed."""
        return [plan for plan in self.days if plan.sums is None]


def plan_window(
    store: ObjectStore, run_date: date, window_days: int, num_buckets: int, events: EventSettings | None = None
) -> WindowPlan:
    """The window of ``window_days`` ending with the run date. A day's sums hold for one number of buckets and one ``events``.

    A day's item vectors are those of the newest features/items up to that day, else (before the first one) of the oldest after
    it, never past the run date and always of the run date's encoder. Covers count from the day after they were published.

    Raises:
        DataMissing: the run date has no impressions or no item vectors.
    """
    today = _needed(store, ITEM_FEATURES, run_date, "embed-items")
    _needed(store, IMPRESSIONS, run_date, "validate-impressions")
    encoder = str(today.metadata.get("encoder"))
    items = [part for part in _up_to(store, ITEM_FEATURES, run_date) if part.metadata.get("encoder") == encoder]
    covers = [part for part in _up_to(store, COVER_FEATURES, run_date) if part.run_date < run_date]
    first = run_date - timedelta(days=window_days - 1)
    days = [
        _day_plan(store, part, items, covers, (num_buckets, events or EventSettings()))
        for part in _up_to(store, IMPRESSIONS, run_date)
        if part.run_date >= first and part.rows
    ]
    return WindowPlan(days=days, covers=covers, encoder=encoder, width=int(today.metadata["width"]))


def plan_tastes(
    store: ObjectStore, run_date: date, window_days: int, num_buckets: int, factors: Partition, events: EventSettings
) -> WindowPlan:
    """The same window by collaborative item vectors: one set of them for all its days, and covers do not matter.

    Sums of another set are computed anew, so a back-fill across a date on which vectors were learned costs a window.
    """
    first = run_date - timedelta(days=window_days - 1)
    shown = [part for part in _up_to(store, IMPRESSIONS, run_date) if part.run_date >= first and part.rows]
    days = [_day_plan(store, part, [factors], [], (num_buckets, events), COLLABORATIVE) for part in shown]
    encoder, width = str(factors.metadata["encoder"]), int(factors.metadata["width"])
    return WindowPlan(days=days, covers=[], encoder=encoder, width=width, space=COLLABORATIVE)


def items_for(day: date, items: list[Partition]) -> Partition:
    """The newest partition up to a day, else the oldest after it (``items`` ascending, not empty)."""
    earlier = [part for part in items if part.run_date <= day]
    return earlier[-1] if earlier else items[0]


def _day_plan(
    store: ObjectStore,
    impressions: Partition,
    items: list[Partition],
    covers: list[Partition],
    ways: tuple[int, EventSettings],
    space: Space = CONTENT,
) -> DayPlan:
    day = impressions.run_date
    chosen = items_for(day, items)
    earlier_covers = [part for part in covers if part.run_date < day]
    content: list[Any] = [SUMS_VERSION, _digests([impressions]), _digests([chosen]), _digests(earlier_covers)]
    num_buckets, events = ways
    if events != EventSettings():
        content.append(asdict(events))
    fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    sums = find_partition(store, space.days, day)
    known = sums.metadata if sums is not None else {}
    valid = known.get("fingerprint") == fingerprint and known.get("buckets") == num_buckets
    return DayPlan(day=day, impressions=impressions, items=chosen, fingerprint=fingerprint, sums=sums if valid else None)


def _digests(partitions: list[Partition]) -> list[str]:
    return [file.sha256 for part in partitions for file in part.files]


def _up_to(store: ObjectStore, dataset: str, run_date: date) -> list[Partition]:
    found = (find_partition(store, dataset, day) for day in list_partition_dates(store, dataset) if day <= run_date)
    return [part for part in found if part is not None]


def _needed(store: ObjectStore, dataset: str, run_date: date, stage: str) -> Partition:
    found = find_partition(store, dataset, run_date)
    if found is None or not found.rows:
        raise DataMissing(f"{dataset} has no rows for {run_date} in {store.uri}; run `icg {stage} --run-date {run_date}` first")
    return found
