"""The reader a recommender uses: user and item to the cover that is up. Needs lake, contracts and pyarrow alone.

    with CoverReader(open_store("s3://bucket/prefix"), background=True) as reader:
        cover = reader.cover("reader-17", "item-4")        # None: show the item's own cover
        reader.url(cover)

Looks at current.json's etag at most every ``refresh_seconds`` and opens what it names as a new look-up, exchanged as a whole:
no answer mixes two days. Nothing is answered from bytes that were not checked, and a look-up that proves damaged gives way to
the one before it. read_async.py is the same for asyncio.
"""

import hashlib
import logging
import math
import threading
import time
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

from icg_tasks.contracts.errors import DataCorrupt, IcgError
from icg_tasks.contracts.partitions import COVERS_CURRENT
from icg_tasks.contracts.pseudonym import pseudonym, pseudonym_key
from icg_tasks.covers.addresses import AddressOf, presigned
from icg_tasks.covers.answers import LookUp, answer_from
from icg_tasks.covers.index import Cover, CoverIndex
from icg_tasks.covers.index_cache import discard, open_index
from icg_tasks.covers.pointer import IndexEntry, Pointer, parse_pointer
from icg_tasks.covers.riff import without_signature
from icg_tasks.lake.store import ObjectStore

__all__ = ["Cover", "CoverReader"]

MAX_BLOB_BYTES = 20_000_000
_LOG = logging.getLogger(__name__)
_now = time.monotonic


class CoverReader:
    """Answers from memory; safe to share between threads.

    ``refresh_seconds``: how old an answer may be against current.json; 0 looks every time. ``background``: a thread of its own
    looks, so that no answer ever waits for the store (from the first answer on, until ``close``). ``cache_folder``: where
    indexes of a remote store are kept for other processes and later starts; without it each reader fetches its own.
    ``address_of``: what ``url`` answers with (addresses.py); presigned for an hour where nothing is given.
    ``check_behind``: a thread checks all of a new index behind the first answers, so that damage is found before anybody asks
    for it, and no later answer has a block to check.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        refresh_seconds: float = 60.0,
        background: bool = False,
        cache_folder: Path | None = None,
        address_of: AddressOf | None = None,
        check_behind: bool = False,
    ) -> None:
        self._store, self._refresh_seconds, self._cache_folder = store, refresh_seconds, cache_folder
        self._address_of = address_of or presigned(store)
        self._look_up: LookUp | None = None
        self._former: LookUp | None = None
        self._index: IndexEntry | None = None
        self._suspect = ""  # hash of an index that proved damaged: it is checked whole before it answers again
        self._etag: str | None = None
        self._due = 0.0  # when to look at current.json next, on the monotonic clock; never where a thread looks
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._background, self._check_behind = background, check_behind
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "CoverReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop looking; answers given so far and later stay those of the covers loaded last."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def day(self) -> date | None:
        """The date whose covers are up, or None where nothing was ever published."""
        look_up = self._fresh()
        return look_up.day if look_up else None

    def cover(self, user_id: str, item_id: str, *, hashed: bool = False, variant: int = 0) -> Cover | None:
        """The cover this user sees for an item: the segment's, else its parent's, else everybody's, else None (the item's own).

        ``hashed``: user_id is the keyed hash already; else it is the raw id, and ICG_PSEUDONYM_KEY must be set.

        Raises:
            SettingsError: raw id without the key.
            DataCorrupt, DataMissing: what is published cannot be read, and nothing was loaded before.
        """
        if _now() >= self._due:
            self._fresh()
        look_up = self._look_up
        if look_up is None:
            return None
        user = user_id if hashed else _keyed(user_id, hashed)
        try:
            return look_up.cover(user, item_id, variant)
        except DataCorrupt as error:
            return self._instead(look_up, error).cover(user, item_id, variant)

    def segment(self, user_id: str, *, hashed: bool = False) -> str | None:
        """The user's segment as of the covers that are up, or None for somebody unknown."""
        look_up = self._fresh()
        if look_up is None:
            return None
        user = _keyed(user_id, hashed)
        try:
            return look_up.segment(user)
        except DataCorrupt as error:
            return self._instead(look_up, error).segment(user)

    def answer(self, user_id: str, item_id: str, *, hashed: bool = False, variant: int = 0) -> dict[str, Any]:
        """The cover answer as plain values (schemas/cover_answer.schema.json): what to show, whose it is, and of which day."""
        look_up = self._fresh()
        user = _keyed(user_id, hashed or look_up is None)
        try:
            return answer_from(look_up, user, item_id, variant)
        except DataCorrupt as error:
            return answer_from(self._instead(look_up, error), user, item_id, variant)

    def url(self, cover: Cover) -> str:
        """The address that a browser loads the image from."""
        return self._address_of(cover.blob)

    def image(self, cover: Cover) -> bytes:
        """The cover's WebP bytes, checked against its id; raises DataMissing or DataCorrupt."""
        size = self._store.size(cover.blob)
        data = self._store.get(cover.blob) if size <= MAX_BLOB_BYTES else b""
        if hashlib.sha256(without_signature(data)).hexdigest() != cover.cover_id:
            raise DataCorrupt(f"{cover.address} is not the image its name promises; restore it, or delete it and publish again")
        return data

    def refresh(self) -> bool:
        """Look at current.json now; True if another look-up was loaded. Raises what loading raises."""
        with self._lock:
            self._due = math.inf if self._thread is not None else _now() + self._refresh_seconds
            etag = self._store.etag(COVERS_CURRENT)
            if etag is None or (self._look_up is not None and etag == self._etag):
                return False
            return self._load()

    def _load(self) -> bool:
        """Open what current.json names. Where that has gone meanwhile, another date is up by now: look once more."""
        found = self._store.get_with_etag(COVERS_CURRENT)
        while found is not None:
            try:
                pointer = parse_pointer(found[0])
                look_up = self._opened(pointer)
            except IcgError:
                newer = self._store.get_with_etag(COVERS_CURRENT)
                if newer is None or newer[0] == found[0]:
                    raise
                found = newer
                continue
            self._former, self._look_up, self._index, self._etag = self._look_up, look_up, pointer.index, found[1]
            if self._check_behind and isinstance(look_up, CoverIndex):
                threading.Thread(target=self._check, args=(look_up,), name="icg-cover-check", daemon=True).start()
            return True
        return False

    def _opened(self, pointer: Pointer) -> LookUp:
        if (file := pointer.index) is not None:
            return open_index(self._store, file, self._cache_folder, check=file.sha256 == self._suspect)
        from icg_tasks.covers.read_tables import TableLookUp

        return TableLookUp(self._store, pointer)

    def _check(self, index: CoverIndex) -> None:
        """Read all of an index that answers already."""
        try:
            index.check_all()
        except DataCorrupt as error:
            self._drop(index, error)

    def _instead(self, damaged: LookUp | None, error: DataCorrupt) -> LookUp:
        """The look-up before one that proved damaged; raises what was found where there is none."""
        self._drop(damaged, error)
        if self._look_up is None:
            raise error
        return self._look_up

    def _drop(self, damaged: LookUp | None, error: DataCorrupt) -> None:
        with self._lock:
            if self._look_up is damaged and isinstance(damaged, CoverIndex) and self._index is not None:
                _LOG.error("covers of %s are dropped: %s", damaged.day, error)
                discard(self._store, self._index, damaged)
                self._suspect, self._look_up, self._former = self._index.sha256, self._former, None
                self._etag, self._due = None, 0.0

    def _fresh(self) -> LookUp | None:
        """The look-up, looked after where it is due (``cover`` asks for that itself: it is called most). A failing refresh
        leaves the last good one up, and says so.
        """
        if _now() >= self._due and not self._closed.is_set():
            self._look()
            if self._background and self._look_up is not None:
                self._start()
        return self._look_up

    def _look(self) -> None:
        try:
            self.refresh()
        except IcgError as error:
            if self._look_up is None:
                self._due = 0.0
                raise
            _LOG.warning("covers of %s stay up: %s", self._look_up.day, error)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep_looking, name="icg-cover-reader", daemon=True)
                self._thread.start()
                self._due = math.inf

    def _keep_looking(self) -> None:
        while not self._closed.wait(max(self._refresh_seconds, 0.01)):
            try:
                self._look()
            except IcgError as error:  # whoever asks for a cover is told; the next look may find it mended
                _LOG.warning("no covers are loaded: %s", error)


def _keyed(user_id: str, hashed: bool) -> str:
    return user_id if hashed else pseudonym(user_id, pseudonym_key())
