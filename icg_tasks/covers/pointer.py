"""``covers/v1/current.json``: which covers are up. The one mutable object of the covers, moved with conditional writes only.

It names immutable, content-addressed files (the manifest's and the segment look-up's), so whoever read it once can read all
of it in peace while another day is published. Knows no image and no model.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from icg_tasks.contracts.errors import EXIT_REFUSED, DataCorrupt, DataMissing, IcgError
from icg_tasks.contracts.partitions import COVER_HISTORY, COVER_MANIFESTS, COVERS_CURRENT
from icg_tasks.lake.partitions import PartitionFile, manifest_key
from icg_tasks.lake.store import ObjectStore

USER_SEGMENTS_KEY = "user_segments"
INDEX_KEY = "index"
_TRIES = 10


class PublishConflict(IcgError):
    """Two published one date at once: the other one was first, and what this one made is not up.

    Exit code 3: an automatic retry would put the loser up after all; somebody should look why there were two.
    """

    exit_code = EXIT_REFUSED


@dataclass(frozen=True, kw_only=True)
class IndexEntry(PartitionFile):
    """An index, with the hash of its blocks' hashes (empty: written before blocks had any; it is then checked whole)."""

    seal: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        said = asdict(self)
        return said if self.seal else {name: value for name, value in said.items() if name != "seal"}


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What current.json says: the date, its manifest, and the files a reader loads.

    ``index`` is the one file a reader needs (None: written before there were indexes). ``serial`` counts how often
    current.json was moved; 0 before there was a history.
    """

    day: date
    manifest: str
    sha256: str
    covers: list[PartitionFile]
    user_segments: list[PartitionFile]
    index: IndexEntry | None = None
    serial: int = 0

    def to_bytes(self) -> bytes:
        """The same pointer gives the same bytes."""
        body: dict[str, Any] = {
            "ds": self.day.isoformat(),
            "manifest": self.manifest,
            "sha256": self.sha256,
            "covers": [asdict(file) for file in self.covers],
            "user_segments": [asdict(file) for file in self.user_segments],
        }
        body |= {INDEX_KEY: self.index.to_json()} if self.index else {}
        body |= {"serial": self.serial} if self.serial else {}
        return json.dumps(body, sort_keys=True, indent=1, allow_nan=False).encode()

    def names_what(self, other: "Pointer") -> bool:
        """Whether both lead readers to the same files."""
        return replace(self, serial=0) == replace(other, serial=0)


def parse_pointer(data: bytes) -> Pointer:
    """From the bytes of current.json; raises DataCorrupt."""
    try:
        body = json.loads(data)
        return Pointer(
            day=date.fromisoformat(body["ds"]),
            manifest=str(body["manifest"]),
            sha256=str(body["sha256"]),
            covers=_files(body["covers"]),
            user_segments=_files(body["user_segments"]),
            index=_index(body.get(INDEX_KEY)),
            serial=int(body.get("serial", 0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataCorrupt(
            f"{COVERS_CURRENT} is unreadable ({error!r}); set it again with: icg covers rollback --to YYYY-MM-DD"
        ) from error


def pointer_to(store: ObjectStore, day: date) -> Pointer:
    """The pointer to a published date, from its manifest; raises DataMissing where that date was never published."""
    key = manifest_key(COVER_MANIFESTS, day)
    found = store.get_with_etag(key)
    if found is None:
        raise DataMissing(f"no covers were published for {day} in {store.uri}; icg covers list names the dates that were")
    return pointer_from(found[0], day)


def pointer_from(manifest: bytes, day: date) -> Pointer:
    """The pointer to a date whose manifest has these bytes; raises DataCorrupt."""
    key = manifest_key(COVER_MANIFESTS, day)
    try:
        body = json.loads(manifest)
        return Pointer(
            day=day,
            manifest=key,
            sha256=hashlib.sha256(manifest).hexdigest(),
            covers=_files(body["files"]),
            user_segments=_files(body["metadata"][USER_SEGMENTS_KEY]),
            index=_index(body["metadata"].get(INDEX_KEY)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataCorrupt(f"{key} is unreadable ({error!r}); run icg publish-covers for {day} again") from error


def current_pointer(store: ObjectStore) -> Pointer | None:
    """What is up, or None where nothing was ever published; raises DataCorrupt."""
    found = store.get_with_etag(COVERS_CURRENT)
    return None if found is None else parse_pointer(found[0])


def move_current(
    store: ObjectStore, pointer: Pointer, *, backwards: bool = False, check: Callable[[], None] = lambda: None
) -> bool:
    """Make a published date current, unless a later one is up (``backwards``: even then). True if this date is up afterwards.

    What was up before is archived first (``history``). ``check`` is called after current.json was read and before it is
    written, and may raise: nothing has moved then, and nothing that it saw before a move by others counts.

    Raises IcgError when ten conditional writes in a row were beaten by others.
    """
    for _ in range(_TRIES):
        found = store.get_with_etag(COVERS_CURRENT)
        up = _readable(found[0]) if found else None
        if up is not None and up.names_what(pointer):
            return True
        if up is not None and not backwards and up.day > pointer.day:
            return False
        check()
        if found is None or up is None:
            serial = 1 + max((one.serial for one in history(store)), default=0)
        else:
            serial = up.serial + 1
            store.put_if_absent(_archive_key(up.serial), found[0])
        data = replace(pointer, serial=serial).to_bytes()
        etag = found[1] if found else None
        if store.put_if_absent(COVERS_CURRENT, data) if etag is None else store.put_if_match(COVERS_CURRENT, data, etag):
            return True
    raise IcgError(
        f"{COVERS_CURRENT} kept changing under {_TRIES} tries to move it to {pointer.day}; is another publish running?"
    )


def history(store: ObjectStore) -> Iterator[Pointer]:
    """What was up before, oldest first, without what is up now."""
    for key in store.list(f"{COVER_HISTORY}/"):
        found = store.get_with_etag(key)
        if found is not None:
            yield parse_pointer(found[0])


def _archive_key(serial: int) -> str:
    """One pointer had each serial: whoever writes the next one has read it, and only one of them succeeds."""
    return f"{COVER_HISTORY}/{serial:010d}.json"


def _readable(data: bytes) -> Pointer | None:
    """What current.json names; None for unreadable bytes, which serve nobody and give way."""
    try:
        return parse_pointer(data)
    except DataCorrupt:
        return None


def _index(entry: dict[str, Any] | None) -> IndexEntry | None:
    return None if entry is None else IndexEntry(**asdict(_files([entry])[0]), seal=str(entry.get("seal", "")))


def _files(entries: list[dict[str, Any]]) -> list[PartitionFile]:
    return [
        PartitionFile(key=str(e["key"]), rows=int(e["rows"]), size=int(e["size"]), sha256=str(e["sha256"])) for e in entries
    ]
