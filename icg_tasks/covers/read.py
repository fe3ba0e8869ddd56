"""The reader a recommender uses: user and item to the cover that is up. Needs lake, contracts and pyarrow alone.

    reader = CoverReader(open_store("s3://bucket/prefix"))
    cover = reader.cover("reader-17", "item-4")        # None: show the item's own cover

Looks at current.json again at most every ``refresh_seconds`` and loads what it names into a new look-up, exchanged as a whole:
no answer mixes two days. Its files are content-addressed and checked, so nothing half written is ever read.
"""

import bisect
import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from icg_tasks.contracts.errors import DataCorrupt, IcgError
from icg_tasks.contracts.partitions import COVERS_CURRENT, checked_key
from icg_tasks.contracts.pseudonym import pseudonym, pseudonym_key
from icg_tasks.contracts.schemas import EVERYONE, USER_SEGMENTS
from icg_tasks.covers.pointer import Pointer, parse_pointer
from icg_tasks.lake.partitions import PartitionFile, read_partition_file
from icg_tasks.lake.store import ObjectStore

MAX_BLOB_BYTES = 20_000_000
_COVER_COLUMNS = ("segment_id", "item_id", "variant", "cover_id", "blob", "width", "height", "made_on")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Cover:
    """A published cover. ``segment_id`` is ``_all`` for the unpersonalised one; ``address`` is a path or an s3:// URI."""

    day: date  # of the manifest it is in
    segment_id: str
    item_id: str
    variant: int
    cover_id: str
    blob: str
    address: str
    width: int
    height: int
    made_on: str

    @property
    def personalised(self) -> bool:
        """Whether it was made for the user's segment."""
        return self.segment_id != EVERYONE


class _Users:
    """Segment of each user, in Arrow columns sorted by user: about 40 bytes a user, a look-up in microseconds."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        whole = pa.concat_tables([USER_SEGMENTS.empty_table(), *tables]).sort_by("user_id")
        self._users = whole["user_id"].combine_chunks()
        self._segments = whole["segment_id"].combine_chunks().dictionary_encode()

    def segment(self, user: str) -> str | None:
        """The user's segment, or None."""
        at = bisect.bisect_left(self._users, user, key=lambda value: value.as_py())
        if at == len(self._users) or self._users[at].as_py() != user:
            return None
        return str(self._segments[at].as_py())


@dataclass(frozen=True, kw_only=True)
class _LookUp:
    """Everything of one pointer, immutable."""

    data: bytes
    pointer: Pointer
    users: _Users
    covers: dict[tuple[str, str, int], Cover]


class CoverReader:
    """Answers from memory; safe to share between threads.

    ``refresh_seconds``: how old an answer may be against current.json; 0 looks every time.
    """

    def __init__(self, store: ObjectStore, *, refresh_seconds: float = 60.0) -> None:
        self._store, self._refresh_seconds = store, refresh_seconds
        self._look_up: _LookUp | None = None
        self._looked_at = -float("inf")
        self._lock = threading.Lock()

    @property
    def day(self) -> date | None:
        """The date whose covers are up, or None where nothing was ever published."""
        look_up = self._fresh()
        return look_up.pointer.day if look_up else None

    def cover(self, user_id: str, item_id: str, *, hashed: bool = False, variant: int = 0) -> Cover | None:
        """The cover this user sees for this item: the segment's, else the unpersonalised one, else None (show the item's own).

        ``hashed``: user_id is the keyed hash already; else it is the raw id, and ICG_PSEUDONYM_KEY must be set.

        Raises:
            SettingsError: raw id without the key.
            DataCorrupt, DataMissing: what is published cannot be read, and nothing was loaded before.
        """
        look_up = self._fresh()
        if look_up is None:
            return None
        user = user_id if hashed else pseudonym(user_id, pseudonym_key())
        segment = look_up.users.segment(user)
        mine = look_up.covers.get((segment, item_id, variant)) if segment is not None else None
        return mine or look_up.covers.get((EVERYONE, item_id, variant))

    def segment(self, user_id: str, *, hashed: bool = False) -> str | None:
        """The user's segment as of the covers that are up, or None for somebody unknown."""
        look_up = self._fresh()
        return None if look_up is None else look_up.users.segment(user_id if hashed else pseudonym(user_id, pseudonym_key()))

    def image(self, cover: Cover) -> bytes:
        """The cover's WebP bytes, checked against its id; raises DataMissing or DataCorrupt."""
        size = self._store.size(cover.blob)
        data = self._store.get(cover.blob) if size <= MAX_BLOB_BYTES else b""
        if hashlib.sha256(data).hexdigest() != cover.cover_id:
            raise DataCorrupt(f"{cover.address} is not the image its name promises; restore it, or delete it and publish again")
        return data

    def refresh(self) -> bool:
        """Look at current.json now; True if another look-up was loaded. Raises what loading raises."""
        with self._lock:
            self._looked_at = time.monotonic()
            found = self._store.get_with_etag(COVERS_CURRENT)
            if found is None or (self._look_up is not None and self._look_up.data == found[0]):
                return False
            self._look_up = _load(self._store, found[0])
            return True

    def _fresh(self) -> _LookUp | None:
        """The look-up, looked after where it is due. A failing refresh leaves the last good one up, and says so."""
        if time.monotonic() - self._looked_at >= self._refresh_seconds:
            try:
                self.refresh()
            except IcgError as error:
                if self._look_up is None:
                    self._looked_at = -float("inf")
                    raise
                _LOG.warning("covers of %s stay up: %s", self._look_up.pointer.day, error)
        return self._look_up


def _load(store: ObjectStore, data: bytes) -> _LookUp:
    pointer = parse_pointer(data)
    users = _Users([_table(store, file, ("user_id", "segment_id")) for file in pointer.user_segments])
    covers = {}
    for file in pointer.covers:
        for row in _table(store, file, _COVER_COLUMNS).to_pylist():
            key = (row["segment_id"], row["item_id"], row["variant"])
            covers[key] = Cover(day=pointer.day, address=store.address(row["blob"]), **row)
    return _LookUp(data=data, pointer=pointer, users=users, covers=covers)


def _table(store: ObjectStore, file: PartitionFile, columns: tuple[str, ...]) -> pa.Table:
    checked_key(file.key)
    problem = DataCorrupt(f"{file.key} is no Parquet file with columns {', '.join(columns)}; publish that date again")
    try:
        table = read_partition_file(store, file, columns)
    except pa.ArrowInvalid as error:
        raise problem from error
    if set(columns) - set(table.column_names):
        raise problem
    return table
