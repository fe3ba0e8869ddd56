"""``covers/v1/current.json``: which covers are up. The one mutable object of the covers, moved with conditional writes only.

It names immutable, content-addressed files (the manifest's and the segment look-up's), so whoever read it once can read all
of it in peace while another day is published. Knows no image and no model.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from icg_tasks.contracts.errors import DataCorrupt, DataMissing, IcgError
from icg_tasks.contracts.partitions import COVER_MANIFESTS, COVERS_CURRENT, PARTITION_MANIFEST, partition_prefix
from icg_tasks.lake.partitions import PartitionFile
from icg_tasks.lake.store import ObjectStore

USER_SEGMENTS_KEY = "user_segments"
_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What current.json says: the date, its manifest, and the files a reader loads."""

    day: date
    manifest: str
    sha256: str
    covers: list[PartitionFile]
    user_segments: list[PartitionFile]

    def to_bytes(self) -> bytes:
        """The same manifest gives the same bytes."""
        body = {
            "ds": self.day.isoformat(),
            "manifest": self.manifest,
            "sha256": self.sha256,
            "covers": [vars(file) for file in self.covers],
            "user_segments": [vars(file) for file in self.user_segments],
        }
        return json.dumps(body, sort_keys=True, indent=1, allow_nan=False).encode()


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
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataCorrupt(
            f"{COVERS_CURRENT} is unreadable ({error!r}); set it again with: icg covers rollback --to YYYY-MM-DD"
        ) from error


def pointer_to(store: ObjectStore, day: date) -> Pointer:
    """The pointer to a published date, from its manifest; raises DataMissing where that date was never published."""
    key = f"{partition_prefix(COVER_MANIFESTS, day)}/{PARTITION_MANIFEST}"
    found = store.get_with_etag(key)
    if found is None:
        raise DataMissing(f"no covers were published for {day} in {store.uri}; icg covers list names the dates that were")
    try:
        body = json.loads(found[0])
        return Pointer(
            day=day,
            manifest=key,
            sha256=hashlib.sha256(found[0]).hexdigest(),
            covers=_files(body["files"]),
            user_segments=_files(body["metadata"][USER_SEGMENTS_KEY]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataCorrupt(f"{key} is unreadable ({error!r}); run icg publish-covers for {day} again") from error


def current_pointer(store: ObjectStore) -> Pointer | None:
    """What is up, or None where nothing was ever published; raises DataCorrupt."""
    found = store.get_with_etag(COVERS_CURRENT)
    return None if found is None else parse_pointer(found[0])


def move_current(store: ObjectStore, pointer: Pointer, *, backwards: bool = False) -> bool:
    """Make a published date current, unless a later one is up (``backwards``: even then). True if this date is up afterwards.

    Raises IcgError when ten conditional writes in a row were beaten by others.
    """
    data = pointer.to_bytes()
    for _ in range(_TRIES):
        found = store.get_with_etag(COVERS_CURRENT)
        if found is None:
            if store.put_if_absent(COVERS_CURRENT, data):
                return True
            continue
        if found[0] == data:
            return True
        if not backwards and _later(found[0], pointer.day):
            return False
        if store.put_if_match(COVERS_CURRENT, data, found[1]):
            return True
    raise IcgError(
        f"{COVERS_CURRENT} kept changing under {_TRIES} tries to move it to {pointer.day}; is another publish running?"
    )


def _later(data: bytes, day: date) -> bool:
    """Whether current.json names a later date; unreadable bytes serve nobody and give way."""
    try:
        return parse_pointer(data).day > day
    except DataCorrupt:
        return False


def _files(entries: list[dict[str, Any]]) -> list[PartitionFile]:
    return [
        PartitionFile(key=str(e["key"]), rows=int(e["rows"]), size=int(e["size"]), sha256=str(e["sha256"])) for e in entries
    ]
