"""The file a reader answers from: users to segments and (segment, item, variant) to covers, as hash tables in one memory map.

Opening it reads a few kilobytes; a look-up is a hash and a few bytes of the map, so a process serves as many rows as fit on its
disk, and processes share the pages. Standard library alone; written by index_build.py. Layout, numbers little-endian:
magic, u32 length of a JSON header, header, then per table a directory (u32 offsets of 2^bits buckets and one more) and its
entries, sorted by their 16-byte keys. An entry's bucket is the first bits of its key. Last come the hashes of all blocks before
them (index_seal.py): nothing is answered from a block that was not checked.
"""

import hashlib
import json
import mmap
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.partitions import COVER_BLOBS
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.covers.index_seal import FORMER_BLOCK_BITS, Seal

MAGIC = b"ICGINDX1"
KEY_BYTES = 16
USER_ENTRY = struct.Struct("<16sI")
"""Key, number of the segment."""
COVER_ENTRY = struct.Struct("<16s32sI")
"""Key, cover id, number of the kind (width, height, date it was made on)."""
_LENGTH = struct.Struct("<I")
_sha256, _new, _fromhex = hashlib.sha256, tuple.__new__, bytes.fromhex  # looked up once: these run for every answer
_bounds, _bucket = struct.Struct("<II").unpack_from, struct.Struct(">I").unpack_from
_cover, _number = struct.Struct("<32sI").unpack_from, struct.Struct("<I").unpack_from
_MAX_HEADER_BYTES = 256_000_000
_BLOCK_BITS = range(6, 31)


class Cover(NamedTuple):
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
        """Whether it was made for a segment of users."""
        return self.segment_id != EVERYONE


@dataclass(frozen=True, kw_only=True)
class Table:
    """Where a hash table lies in the file: bytes from its start to the directory and the entries, and 2^bits buckets."""

    rows: int
    bits: int
    directory: int
    entries: int


def user_key(user: str) -> bytes:
    """The 16 bytes that stand for a user: a keyed hash of 32 hex digits as it is, any other text hashed.

    >>> user_key("00112233445566778899aabbccddeeff").hex()
    '00112233445566778899aabbccddeeff'
    """
    try:
        key = _fromhex(user)
    except ValueError:
        key = b""
    return key if len(key) == KEY_BYTES and key.hex() == user else _hashed(user)


def _hashed(text: str) -> bytes:
    """16 bytes: two of 10^7 pairs of segment and item share theirs with probability 10^-25."""
    try:
        data = text.encode()  # twice as fast as with a word about errors
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    return _sha256(data).digest()[:KEY_BYTES]


class CoverIndex:
    """An opened index. Immutable; safe to share between threads and across a fork."""

    def __init__(self, path: Path, root: str, seal: str = "") -> None:
        """``root``: address of the store, put before each blob's key; ``seal``: what the manifest says of its blocks (empty:
        nothing is checked here, see ``sha256``). Raises DataMissing, DataCorrupt.
        """
        self.path = path
        try:
            with path.open("rb") as handle:
                self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise DataMissing(f"no index at {path}; publish that date again") from None
        except ValueError as error:
            raise DataCorrupt(f"{path} is empty; publish that date again") from error
        header = _header(self._map, path)
        self._seal = _sealed(self._map, path, header, seal)
        self._users, self._covers = (_table(header[name], entry, self._map, path) for name, entry in _ENTRIES.items())
        self._find_by(self._seal)
        self.day = date.fromisoformat(header["ds"])
        self._segments: Sequence[str] = header["segments"]
        self._kinds = [(int(width), int(height), str(made_on)) for width, height, made_on in header["kinds"]]
        self._chains = _chains(self._segments, header["parents"])
        self._blobs, self._root = f"{COVER_BLOBS}/", f"{root.rstrip('/')}/{COVER_BLOBS}/"

    @property
    def rows(self) -> tuple[int, int]:
        """Users, and pairs of segment and item."""
        return self._users.rows, self._covers.rows

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._map)

    def sha256(self) -> str:
        """Hash of the whole file: reads all of it."""
        return hashlib.sha256(self._map).hexdigest()

    def check_all(self) -> None:
        """Read every block now, so that no look-up has to check one any more; raises DataCorrupt."""
        if self._seal is not None:
            self._seal.check_all()
            self._find_by(None)

    def segment(self, user: str) -> str | None:
        """The segment of a user (keyed hash), or None. Raises DataCorrupt, as ``cover`` does."""
        at = self._find_user(user_key(user))
        return None if at < 0 else self._segments[_number(self._map, at)[0]]

    def cover(self, user: str, item_id: str, variant: int = 0) -> Cover | None:
        """What a user (keyed hash) sees: their segment's cover, else its parent's, else everybody's, else None.

        Raises DataCorrupt where it lies in a block that is damaged.
        """
        at = self._find_user(user_key(user))
        for segment_id in self._chains[-1 if at < 0 else _number(self._map, at)[0]]:
            at = self._find_cover(_hashed(f"{segment_id}\0{item_id}\0{variant}"))
            if at >= 0:
                raw, kind = _cover(self._map, at)
                name = raw.hex()
                place = f"{name[:2]}/{name}.webp"
                width, height, made_on = self._kinds[kind]
                blob, address = self._blobs + place, self._root + place
                return _new(Cover, (self.day, segment_id, item_id, variant, name, blob, address, width, height, made_on))
        return None

    def _find_by(self, seal: Seal | None) -> None:
        """Look up with blocks checked on the way, or with nothing left to check."""
        self._find_user = _finder(self._map, self._users, USER_ENTRY.size, seal)
        self._find_cover = _finder(self._map, self._covers, COVER_ENTRY.size, seal)


def _finder(data: mmap.mmap, table: Table, size: int, seal: Seal | None) -> Callable[[bytes], int]:
    """From a key to where its entry's value begins in the map, or -1; a block is checked before anything in it counts."""
    directory, entries, shift, find = table.directory, table.entries, 32 - table.bits, data.find

    def plain(key: bytes) -> int:
        first, end = _bounds(data, directory + 4 * (_bucket(key)[0] >> shift))
        at = find(key, entries + first * size, entries + end * size)
        return at if at < 0 else at + KEY_BYTES

    if seal is None:
        return plain
    bits, checked, check = seal.bits, seal.checked, seal.check

    def checking(key: bytes) -> int:
        at = directory + 4 * (_bucket(key)[0] >> shift)
        if not (checked[at >> bits] and checked[(at + 7) >> bits]):
            check(at, at + 7)
        first, end = _bounds(data, at)
        if first == end:
            return -1
        start, stop = entries + first * size, entries + end * size
        if not (checked[start >> bits] and checked[(stop - 1) >> bits]):
            check(start, stop - 1)
        at = find(key, start, stop)
        return at if at < 0 else at + KEY_BYTES

    return checking


_ENTRIES = {"users": USER_ENTRY, "covers": COVER_ENTRY}


def _header(data: mmap.mmap, path: Path) -> Mapping[str, Any]:
    problem = f"{path} is no index of covers that this version reads; publish that date again"
    start = len(MAGIC) + _LENGTH.size
    if len(data) < start or data[: len(MAGIC)] != MAGIC:
        raise DataCorrupt(problem)
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    if length > min(len(data) - start, _MAX_HEADER_BYTES):
        raise DataCorrupt(problem)
    try:
        header = json.loads(data[start : start + length])
        if not isinstance(header, dict) or not {"ds", "segments", "parents", "kinds", *_ENTRIES} <= header.keys():
            raise DataCorrupt(problem)
    except ValueError as error:
        raise DataCorrupt(problem) from error
    return header


def _sealed(data: mmap.mmap, path: Path, header: Mapping[str, Any], wanted: str) -> Seal | None:
    """The seal with the header's own blocks checked; None where nothing is sealed."""
    if not wanted:
        return None
    start, bits = header.get("hashes"), header.get("block_bits", FORMER_BLOCK_BITS)
    if not isinstance(start, int) or not len(MAGIC) < start < len(data) or bits not in _BLOCK_BITS:
        raise DataCorrupt(f"{path} has no hashes of its blocks, which its manifest promises; publish that date again")
    seal = Seal(data, path, start, wanted, bits)
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    seal.check(0, min(len(MAGIC) + _LENGTH.size + length, start) - 1)
    return seal


def _table(entry: Mapping[str, int], shape: struct.Struct, data: mmap.mmap, path: Path) -> Table:
    """A table's place, checked against the length of the file."""
    table = Table(rows=entry["rows"], bits=entry["bits"], directory=entry["directory"], entries=entry["entries"])
    fits = 0 <= table.bits <= 32 and 0 < table.directory <= table.directory + 4 * (2**table.bits + 1) <= table.entries
    if not fits or table.entries + table.rows * shape.size > len(data):
        raise DataCorrupt(f"{path} is shorter than its header says; publish that date again")
    return table


def _chains(segments: Sequence[str], parents: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Per segment number whose covers its users see, best first; last in the list: those of somebody unknown."""
    chains: list[tuple[str, ...]] = []
    for name in segments:
        parent = parents.get(name)
        chains.append((name, EVERYONE) if parent is None else (name, parent, EVERYONE))
    return [*chains, (EVERYONE,)]
