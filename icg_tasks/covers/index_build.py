"""Writes the file that readers answer from (layout: index.py). The same rows give the same bytes, in whatever order they come.

Vectorised but for one hash per cover (index_columns.py): 10 million rows take 16 processor seconds and about 1.3 GB
beside the tables. Knows no store. Legend: N rows.
"""

import hashlib
import json
import math
import mmap
import struct
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.covers.index import COVER_ENTRY, MAGIC, USER_ENTRY
from icg_tasks.covers.index_columns import batches, cover_ids, cover_keys, numbered_kinds, numbers_of, user_keys
from icg_tasks.covers.index_seal import BLOCK_BITS, block_hashes

_MAX_BITS = 28
_ROOM = 64
_USER = np.dtype([("high", ">u8"), ("low", ">u8"), ("segment", "<u4")])
_COVER = np.dtype([("high", ">u8"), ("low", ">u8"), ("cover", "V32"), ("kind", "<u4")])

Entries = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """What was written."""

    rows: int  # pairs of segment and item
    size: int
    sha256: str
    seal: str  # hash of the hashes of its blocks


def write_index(
    path: Path, day: date, users: Iterable[pa.Table], covers: Iterable[pa.Table], *, parents: Mapping[str, str] | None = None
) -> IndexFile:
    """One index of a day. ``users``: user_id, segment_id. ``covers``: columns of the manifest. ``parents``: segment to segment.

    Raises:
        DataCorrupt: a user or a pair is there twice or lacks a value, or a cover id is no SHA-256.
    """
    user_tables, cover_tables = list(users), list(covers)
    columns = [table["segment_id"] for table in (*user_tables, *cover_tables)]
    known = {name for column in columns for name in column.unique().to_pylist()} - {None}  # told where it counts
    names = {name: number for number, name in enumerate(sorted(known | set(parents or {})))}
    kinds, kinds_N = numbered_kinds(cover_tables)
    users_N = _sorted(_user_entries(user_tables, names), "user")
    covers_N = _sorted(_cover_entries(cover_tables, kinds_N), "pair of segment and item")
    header = {"ds": day.isoformat(), "segments": list(names), "parents": dict(sorted((parents or {}).items()))}
    return _write(path, header | {"kinds": kinds}, users_N, covers_N)


def _user_entries(tables: Sequence[pa.Table], names: Mapping[str, int]) -> Entries:
    entries_N = np.zeros(sum(table.num_rows for table in tables), dtype=_USER)
    for start, batch in batches(tables, "user_id", "segment_id"):
        mine_N = entries_N[start : start + batch.num_rows]
        _set_keys(mine_N, user_keys(batch["user_id"]))
        mine_N["segment"] = numbers_of(batch["segment_id"], names)
    return entries_N


def _cover_entries(tables: Sequence[pa.Table], kinds_N: NDArray[np.uint32]) -> Entries:
    entries_N = np.zeros(len(kinds_N), dtype=_COVER)
    entries_N["kind"] = kinds_N
    for start, batch in batches(tables, "segment_id", "item_id", "variant", "cover_id"):
        mine_N = entries_N[start : start + batch.num_rows]
        _set_keys(mine_N, cover_keys(batch))
        mine_N["cover"] = np.frombuffer(cover_ids(batch["cover_id"]), dtype="V32")
    return entries_N


def _set_keys(entries_N: Entries, keys: bytes) -> None:
    """Each key's first 16 bytes, of the same number of bytes for every entry."""
    if len(entries_N):
        words_NW = np.frombuffer(keys, dtype=">u8").reshape(len(entries_N), -1)
        entries_N["high"], entries_N["low"] = words_NW[:, 0], words_NW[:, 1]


def _sorted(entries_N: Entries, what: str) -> Entries:
    """All entries by key; raises DataCorrupt where a key is there twice."""
    high_N = entries_N["high"].astype(np.uint64)
    order_N = np.argsort(high_N)
    same = (high_N[order_N[1:]] == high_N[order_N[:-1]]).any()
    if same:  # one in a million times by chance, else a key that is there twice
        low_N = entries_N["low"].astype(np.uint64)
        order_N = np.lexsort((low_N, high_N))
        high_N, low_N = high_N[order_N], low_N[order_N]
        twice = int(((high_N[1:] == high_N[:-1]) & (low_N[1:] == low_N[:-1])).sum())
        if twice:
            raise DataCorrupt(f"{twice} times a {what} is there more than once; run the stage that wrote it again")
    return entries_N[order_N]


def _directory(entries_N: Entries) -> tuple[int, NDArray[np.uint32]]:
    """Bits of a bucket's number and the offset of each bucket's first entry: about one entry in each."""
    rows = len(entries_N)
    bits = min(_MAX_BITS, max(0, math.ceil(math.log2(rows)) if rows > 1 else 0))
    buckets_N = (entries_N["high"].astype(np.uint64) >> np.uint64(32)) >> np.uint64(32 - bits)
    counts = np.bincount(buckets_N.astype(np.int64), minlength=2**bits)
    return bits, np.concatenate([[0], np.cumsum(counts)]).astype("<u4")


def _write(path: Path, header: dict[str, Any], users_N: Entries, covers_N: Entries) -> IndexFile:
    """Header, then tables. The header names their places, so they begin behind room enough for it."""
    header["block_bits"] = BLOCK_BITS
    parts: list[tuple[int, Any]] = []
    start = len(MAGIC) + 4 + len(json.dumps(header, ensure_ascii=True)) + (2 * 4 + 1) * _ROOM
    at = start + -start % 8
    for name, entries_N in (("users", users_N), ("covers", covers_N)):
        bits, directory = _directory(entries_N)
        place = {"rows": len(entries_N), "bits": bits, "directory": at, "entries": at + directory.nbytes}
        header[name] = place
        parts += [(at, directory), (place["entries"], entries_N)]
        at = place["entries"] + entries_N.nbytes
        at += -at % 8
    header["hashes"] = at
    body = json.dumps(header, ensure_ascii=True).encode()
    parts.insert(0, (0, MAGIC + struct.pack("<I", len(body)) + body))
    with path.open("wb") as sink:
        for begin, data in [*parts, (at, b"")]:
            sink.write(bytes(begin - sink.tell()))
            sink.write(data)
    return _seal(path, len(covers_N))


def _seal(path: Path, rows: int) -> IndexFile:
    """Put the hashes of all blocks behind them; both kinds of hash are taken at once."""
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, ThreadPoolExecutor(1) as beside:
            whole = beside.submit(hashlib.sha256, data)
            hashes = block_hashes(data, BLOCK_BITS)
            digest = whole.result()
        digest.update(hashes)
        file.seek(0, 2)
        file.write(hashes)
        size = file.tell()
    return IndexFile(rows=rows, size=size, sha256=digest.hexdigest(), seal=hashlib.sha256(hashes).hexdigest())


if USER_ENTRY.size != _USER.itemsize or COVER_ENTRY.size != _COVER.itemsize:  # pragma: no cover - a slip of the pen
    raise DataCorrupt("index.py and index_build.py disagree about the layout of an index")
