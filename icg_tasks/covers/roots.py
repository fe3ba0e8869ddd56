"""What a collection must leave alone: everything that a reader, a roll-back, a publisher or a shard under way may still want.

Holds are read first, then current.json, then its history, then the manifests: what moves from one to the next while this
looks is seen in one of them. Knows keys and manifests; deletes nothing.
"""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from datetime import date

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.covers.holds import DEAD_HOLD_SECONDS, Hold, all_holds
from icg_tasks.covers.pointer import Pointer, current_pointer, parse_pointer, pointer_from
from icg_tasks.lake.partitions import (
    PartitionFile,
    find_partition,
    list_partition_dates,
    manifest_key,
    read_partition_file,
)
from icg_tasks.lake.store import ObjectStore


@dataclass(frozen=True, kw_only=True)
class Retention:
    """The newest ``dates`` published dates stay, and everything written or replaced within the last ``grace_seconds``."""

    dates: int
    grace_seconds: float


@dataclass(kw_only=True)
class Roots:
    """One look at what must stay. ``dates``: published or being published, with the reason; ``keys``: single objects."""

    dates: dict[date, str] = field(default_factory=dict)
    writing: set[date] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    published: list[date] = field(default_factory=list)

    def past(self, day: date) -> bool:
        """Whether a date is neither kept nor published nor still to come: its plan and shards are not needed again."""
        newest = max(self.dates, default=None)
        return newest is not None and day < newest and day not in self.dates and day not in self.published


@dataclass(kw_only=True)
class Gatherer:
    """Looks as often as it is asked; remembers what content-addressed files hold."""

    store: ObjectStore
    retention: Retention
    _blobs_in: dict[str, frozenset[str]] = field(default_factory=dict)

    def dates(self, now: float) -> Roots:
        """Which published dates stay at this time (seconds since 1970), without their files."""
        roots, _ = self._dates(now)
        return roots

    def roots(self, now: float, *, without: Set[date] = frozenset()) -> Roots:
        """Dates, and every key that they and everything else under way need; as if some published dates were gone."""
        roots, pointers = self._dates(now)
        for pointer in pointers:
            self._need(roots, [*pointer.covers, *([pointer.index] if pointer.index else [])], pointer.covers)
        roots.published = [day for day in list_partition_dates(self.store, keys.COVER_MANIFESTS) if day not in without]
        for day in roots.published:
            found = self.store.get_with_etag(manifest_key(keys.COVER_MANIFESTS, day))
            if found is not None:
                pointer = pointer_from(found[0], day)
                roots.keys.add(pointer.manifest)
                self._need(roots, [*pointer.covers, *([pointer.index] if pointer.index else [])], pointer.covers)
        for dataset, day in self._working(roots, now):
            column = "kept_cover_id" if dataset == keys.COVER_PLANS else "cover_id"
            partition = find_partition(self.store, dataset, day)
            for file in partition.files if partition else []:
                roots.keys |= self._blobs(file, column)
        return roots

    def _dates(self, now: float) -> tuple[Roots, list[Pointer]]:
        recent = now - self.retention.grace_seconds
        roots = Roots()
        for hold, written in all_holds(self.store):
            if hold.pin or written > now - DEAD_HOLD_SECONDS:
                _held(roots, hold)
        pointers = []
        current = current_pointer(self.store)
        if current is not None:
            pointers.append(current)
            roots.dates.setdefault(current.day, "current")
        for entry in list(self.store.entries(f"{keys.COVER_HISTORY}/")):
            found = self.store.get_with_etag(entry.key) if entry.modified > recent else None
            if found is not None:
                pointers.append(parse_pointer(found[0]))
                roots.dates.setdefault(pointers[-1].day, "was up recently")
        roots.published = list_partition_dates(self.store, keys.COVER_MANIFESTS)
        for day in roots.published[-self.retention.dates :]:
            roots.dates.setdefault(day, f"one of the newest {self.retention.dates}")
        for entry in self.store.entries(f"{keys.COVER_MANIFESTS}/"):
            written_for = keys.parse_partition_date(entry.key)
            if written_for is not None and entry.modified > recent and entry.key.endswith(keys.PARTITION_MANIFEST):
                roots.dates.setdefault(written_for, "published recently")
        return roots, pointers

    def _working(self, roots: Roots, now: float) -> Iterator[tuple[str, date]]:
        """Plans and shards that somebody may still go on from: of dates that stay or are to come, and new ones."""
        for prefix in (keys.COVER_PLANS, keys.COVER_SHARDS):
            for entry in list(self.store.entries(f"{prefix}/")):
                day = keys.parse_partition_date(entry.key)
                if day is None or not entry.key.endswith(f"/{keys.PARTITION_MANIFEST}"):
                    continue
                if not roots.past(day) or entry.modified > now - self.retention.grace_seconds:
                    yield entry.key.split("/ds=")[0], day

    def _need(self, roots: Roots, files: Iterable[PartitionFile], with_blobs: Iterable[PartitionFile]) -> None:
        roots.keys |= {file.key for file in files}
        for file in with_blobs:
            roots.keys |= self._blobs(file, "cover_id")

    def _blobs(self, file: PartitionFile, column: str) -> frozenset[str]:
        """Keys of the blobs that a file names; raises DataCorrupt where it cannot be read: nothing is deleted on a guess."""
        if file.sha256 not in self._blobs_in:
            try:
                names = read_partition_file(self.store, file, [column])[column].unique().to_pylist()
            except KeyError as error:
                raise DataCorrupt(f"{file.key} has no column {column}; nothing is collected") from error
            self._blobs_in[file.sha256] = frozenset(keys.blob_key(name) for name in names if name is not None)
        return self._blobs_in[file.sha256]


def _held(roots: Roots, hold: Hold) -> None:
    reason = "pinned" if hold.pin else "being put up or published"
    for day in hold.dates:
        roots.dates[day] = reason
    if hold.writing is not None:
        roots.writing.add(hold.writing)
        roots.dates.setdefault(hold.writing, reason)
    roots.keys |= hold.blobs
