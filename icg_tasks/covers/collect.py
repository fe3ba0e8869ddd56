"""Deletes what nobody can want any more: published dates beyond retention, and images, indexes and plans that nothing names.

Never what a live, pinned, recent or nearly published manifest names, however publishers, roll-backs and readers interleave with
it (holds.py says how). A date's manifest goes first, so nobody can roll back to what is going. A collection that was
killed leaves a doom behind; the next one takes it away. Run: ``icg covers collect [--dry-run]``.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.covers.holds import DEAD_HOLD_SECONDS, PUBLISHER_SECONDS, all_holds, release
from icg_tasks.covers.roots import Gatherer, Retention, Roots
from icg_tasks.lake.partitions import manifest_key
from icg_tasks.lake.store import Entry, ObjectStore

MAX_SECONDS = 6 * 3600.0
"""A collection stops by itself after this; what is left is the next one's."""
DEAD_DOOM_SECONDS = 2 * MAX_SECONDS
_BATCH = 20_000
_EXAMPLES = 10
_BY_NAME = (keys.COVER_BLOBS, keys.COVER_MANIFESTS, keys.COVER_INDEXES)
_BY_DATE = (keys.COVER_PLANS, keys.COVER_PLAN_SEGMENTS, keys.COVER_SHARDS)


@dataclass(kw_only=True)
class Report:
    """What was deleted, or would have been."""

    dry_run: bool
    kept: dict[str, str] = field(default_factory=dict)  # date to reason
    retired: list[str] = field(default_factory=list)
    objects: Counter[str] = field(default_factory=Counter)  # by what they are
    bytes: int = 0
    spared: int = 0  # wanted again between a look and the deletion
    examples: list[str] = field(default_factory=list)
    finished: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self) | {"objects": dict(sorted(self.objects.items()))}


def collect(
    store: ObjectStore, retention: Retention, *, dry_run: bool = False, clock: Callable[[], float] = time.time
) -> Report:
    """One collection; raises SettingsError, and DataCorrupt where a manifest cannot be read (nothing is deleted on a guess)."""
    if retention.dates < 1 or retention.grace_seconds < 0:
        raise SettingsError(
            f"covers.retention_dates {retention.dates} and covers.collect_grace_hours "
            f"{retention.grace_seconds / 3600:g}: expected 1 or more dates and no less than 0 hours"
        )
    return _Collection(store, retention, clock, Report(dry_run=dry_run)).run()


class _Collection:
    """One run: a look, a doom, another look, deletions."""

    def __init__(self, store: ObjectStore, retention: Retention, clock: Callable[[], float], report: Report) -> None:
        self._store, self._clock, self._report = store, clock, report
        self._grace, self._gatherer = retention.grace_seconds, Gatherer(store=store, retention=retention)
        self._began = clock()
        self._counted: set[str] = set()  # manifests that went, or would have gone, ahead of the rest

    def run(self) -> Report:
        """All of it, once."""
        if not self._report.dry_run:
            self._end_the_dead()
        look = self._gatherer.dates(self._began)
        self._report.kept = {day.isoformat(): reason for day, reason in sorted(look.dates.items())}
        retired = self._retire([day for day in look.published if day not in look.dates])
        self._delete_orphans(set(retired) if self._report.dry_run else set())
        if not self._report.dry_run:
            unfinished = self._store.sweep(self._began - max(self._grace, PUBLISHER_SECONDS))
            self._report.objects |= {"unfinished writes": unfinished} if unfinished else {}
        return self._report

    def _retire(self, days: list[date]) -> list[date]:
        """Take the manifests of these dates away, unless somebody holds them by now."""
        if not days:
            return []
        going = days
        if not self._report.dry_run:
            with self._doom([manifest_key(keys.COVER_MANIFESTS, day) for day in days]):
                again = self._gatherer.dates(self._clock())
                going = [day for day in days if day not in again.dates]
                for day in going:
                    self._store.delete(manifest_key(keys.COVER_MANIFESTS, day))
        self._report.retired = [day.isoformat() for day in going]
        self._report.spared += len(days) - len(going)
        self._report.objects["manifests"] += len(going)
        self._counted = {manifest_key(keys.COVER_MANIFESTS, day) for day in going}
        return going

    def _delete_orphans(self, as_if_gone: set[date]) -> None:
        """Everything that nothing names. ``as_if_gone``: dates that a dry run would have retired."""
        roots = self._roots(as_if_gone)
        orphans = self._orphans(roots)
        while batch := list(islice(orphans, _BATCH)):
            if self._clock() - self._began > MAX_SECONDS:
                self._report.finished = False
                return
            going = batch
            if not self._report.dry_run:
                with self._doom([entry.key for entry in batch]):
                    again = self._roots(set())
                    going = [entry for entry in batch if self._is_orphan(entry, again)]
                    for entry in going:
                        self._store.delete(entry.key)
            self._report.spared += len(batch) - len(going)
            self._count(going)

    def _roots(self, as_if_gone: set[date]) -> Roots:
        return self._gatherer.roots(self._clock(), without=as_if_gone)

    def _orphans(self, roots: Roots) -> Iterator[Entry]:
        for prefix in (*_BY_DATE, *_BY_NAME):
            yield from (entry for entry in self._store.entries(f"{prefix}/") if self._is_orphan(entry, roots))

    def _is_orphan(self, entry: Entry, roots: Roots) -> bool:
        if entry.key in roots.keys or entry.key in self._counted or entry.modified > self._began - self._grace:
            return False
        day = keys.parse_partition_date(entry.key)
        if day is not None and day in roots.writing:
            return False
        if not entry.key.startswith(tuple(f"{prefix}/" for prefix in _BY_DATE)):
            return True
        return day is not None and roots.past(day)

    def _count(self, entries: list[Entry]) -> None:
        for entry in entries:
            kind = next(prefix for prefix in (*_BY_NAME, *_BY_DATE) if entry.key.startswith(f"{prefix}/"))
            self._report.objects[kind.rsplit("/", 1)[-1]] += 1
            self._report.bytes += entry.size
        room = _EXAMPLES - len(self._report.examples)
        self._report.examples += [entry.key for entry in entries[:room]]

    @contextmanager
    def _doom(self, doomed: list[str]) -> Iterator[None]:
        """Say what is about to be deleted, for as long as it lasts. Killed in between, it stays until DEAD_DOOM_SECONDS."""
        name = f"{keys.COVER_DOOMS}/{uuid.uuid4().hex}.txt"
        self._store.put(name, "\n".join(doomed).encode())
        try:
            yield
        finally:
            self._store.delete(name)

    def _end_the_dead(self) -> None:
        """Dooms of collections and holds of publishers that cannot be alive any more."""
        for entry in list(self._store.entries(f"{keys.COVER_DOOMS}/")):
            if entry.modified < self._began - DEAD_DOOM_SECONDS:
                self._store.delete(entry.key)
        for hold, written in list(all_holds(self._store)):
            if not hold.pin and written < self._began - DEAD_HOLD_SECONDS:
                release(self._store, hold)
