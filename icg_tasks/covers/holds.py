"""What keeps publishers, roll-backs and pins from losing what a collector is about to delete, and the other way round.

Either side says what it is about to do before it looks what the other one says: a publisher writes a *hold*, then reads the
*dooms*; a collector writes a doom, then reads the holds. Whatever the order, one of them sees the other and leaves off.
A pin is a hold that stays. Knows keys; nothing of what they hold.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from icg_tasks.contracts.errors import DataCorrupt, DataMissing, IcgError
from icg_tasks.contracts.partitions import COVER_DOOMS, COVER_HOLDS, COVER_MANIFESTS
from icg_tasks.lake.partitions import manifest_key
from icg_tasks.lake.store import ObjectStore

PUBLISHER_SECONDS = 24 * 3600.0
"""A publisher gives up where it takes longer than this from its hold to its manifest."""
DEAD_HOLD_SECONDS = 7 * PUBLISHER_SECONDS
"""A hold of a publisher or roll-back that was written longer ago than this protects nothing."""
_PIN = "pin-"


class BeingCollected(IcgError):
    """What is to be published or put up is being deleted right now."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """What must not be deleted: whole published dates, a date that is being written, single blobs (store keys)."""

    name: str
    dates: tuple[date, ...] = ()
    writing: date | None = None
    blobs: frozenset[str] = frozenset()

    @property
    def pin(self) -> bool:
        """Whether it stays until somebody takes it away."""
        return self.name.startswith(_PIN)

    def to_bytes(self) -> bytes:
        """Equal holds have equal bytes."""
        body = {
            "dates": [day.isoformat() for day in self.dates],
            "writing": self.writing.isoformat() if self.writing else None,
            "blobs": sorted(self.blobs),
        }
        return json.dumps(body, sort_keys=True, indent=1).encode()


def publish_hold(day: date, blobs: Iterable[str]) -> Hold:
    """The hold of whoever publishes these blobs for a day. Equal blobs have one name: a try after a kill takes up its own."""
    kept = frozenset(blobs)
    digest = hashlib.sha256("\n".join(sorted(kept)).encode()).hexdigest()
    return Hold(name=f"publish-{day}-{digest[:12]}", writing=day, blobs=kept)


def place(store: ObjectStore, hold: Hold) -> None:
    """Say it, then look: raises BeingCollected (and takes the hold back) where a collection has doomed any of it."""
    store.put(_key(hold.name), hold.to_bytes())
    wanted = hold.blobs | {manifest_key(COVER_MANIFESTS, day) for day in hold.dates}
    for doom in list(store.list(f"{COVER_DOOMS}/")):
        lost = wanted & doomed(store, doom)
        if lost:
            release(store, hold)
            raise BeingCollected(
                f"a collection ({doom}) is deleting {len(lost)} objects that are wanted here, such as {min(lost)}; try again "
                "when icg covers collect has ended. If none is running it was killed: run it again"
            )


def release(store: ObjectStore, hold: Hold) -> None:
    """What was held is named by a manifest by now, or not wanted any more."""
    store.delete(_key(hold.name))


def pin(store: ObjectStore, day: date) -> None:
    """Keep a published date until it is unpinned; raises DataMissing where it is not published, BeingCollected."""
    hold = Hold(name=f"{_PIN}{day}", dates=(day,))
    place(store, hold)
    if not store.exists(manifest_key(COVER_MANIFESTS, day)):
        release(store, hold)
        raise DataMissing(f"no covers are published for {day} in {store.uri}; icg covers list names the dates that are")


def unpin(store: ObjectStore, day: date) -> bool:
    """Let retention have a date again; False where it was not pinned."""
    key = _key(f"{_PIN}{day}")
    there = store.exists(key)
    store.delete(key)
    return there


def pinned_dates(store: ObjectStore) -> list[date]:
    """Pinned dates, ascending."""
    return sorted({day for hold, _ in all_holds(store) if hold.pin for day in hold.dates})


def all_holds(store: ObjectStore) -> Iterator[tuple[Hold, float]]:
    """Every hold and pin with the time it was written; raises DataCorrupt for one that cannot be read."""
    for entry in list(store.entries(f"{COVER_HOLDS}/")):
        found = store.get_with_etag(entry.key)
        if found is None:
            continue
        try:
            body = json.loads(found[0])
            hold = Hold(
                name=entry.key.removeprefix(f"{COVER_HOLDS}/").removesuffix(".json"),
                dates=tuple(date.fromisoformat(day) for day in body["dates"]),
                writing=date.fromisoformat(body["writing"]) if body["writing"] else None,
                blobs=frozenset(str(key) for key in body["blobs"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataCorrupt(f"hold {entry.key} is unreadable ({error!r}); delete it if nobody is publishing") from error
        yield hold, entry.modified


def doomed(store: ObjectStore, doom: str) -> set[str]:
    """The keys that a doom names; none where it has ended meanwhile."""
    found = store.get_with_etag(doom)
    return set(found[0].decode().split("\n")) if found else set()


def _key(name: str) -> str:
    return f"{COVER_HOLDS}/{name}.json"
