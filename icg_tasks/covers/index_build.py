"""Writes the file that readers answer from (layout: index.py). The same rows give the same bytes, in whatever order they come.

Vectorised but for one hash per cover: 10 million rows take about half a minute. Knows no store. Legend: N rows.
"""

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.covers.index import COVER_ENTRY, KEY_BYTES, MAGIC, USER_ENTRY, cover_key, user_key
from icg_tasks.covers.index_seal import block_hashes

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
        DataCorrupt: a user or a pair is there twice, or a cover id is no SHA-256.
    """
    user_tables, cover_tables = list(users), list(covers)
    columns = [table["segment_id"] for table in (*user_tables, *cover_tables)]
    known = {name for column in columns for name in column.unique().to_pylist()}
    names = {name: number for number, name in enumerate(sorted(known | set(parents or {})))}
    found = {name for table in cover_tables for name in _kinds(table).unique().to_pylist()}
    kinds = {name: number for number, name in enumerate(sorted(found))}
    users_N = _sorted([_user_entries(table, names) for table in user_tables], _USER, "user")
    covers_N = _sorted([_cover_entries(table, kinds) for table in cover_tables], _COVER, "pair of segment and item")
    header = {"ds": day.isoformat(), "segments": list(names), "parents": dict(sorted((parents or {}).items()))}
    return _write(path, header | {"kinds": [_kind(name) for name in kinds]}, users_N, covers_N)


def _user_entries(table: pa.Table, names: Mapping[str, int]) -> Entries:
    entries_N = _with_keys(b"".join(map(user_key, table["user_id"].to_pylist())), _USER)
    entries_N["segment"] = _numbers(table["segment_id"], names)
    return entries_N


def _cover_entries(table: pa.Table, kinds: Mapping[str, int]) -> Entries:
    columns = (table[name].to_pylist() for name in ("segment_id", "item_id", "variant"))
    entries_N = _with_keys(b"".join(map(cover_key, *columns)), _COVER)
    try:
        ids = bytes.fromhex("".join(table["cover_id"].to_pylist()))
        entries_N["cover"] = np.frombuffer(ids, dtype="V32")
    except ValueError as error:
        raise DataCorrupt(f"a cover id is no SHA-256 of 64 hex digits ({error}); make those covers again") from error
    entries_N["kind"] = _numbers(_kinds(table), kinds)
    return entries_N


def _kinds(table: pa.Table) -> pa.ChunkedArray:
    """What many covers have in common, as one text: width, height, date they were made on."""
    parts = [pc.cast(table[name], pa.string()) for name in ("width", "height", "made_on")]
    return pc.binary_join_element_wise(*parts, " ")


def _kind(name: str) -> tuple[int, int, str]:
    width, height, made_on = name.split(" ")
    return int(width), int(height), made_on


def _numbers(column: pa.ChunkedArray, numbers: Mapping[str, int]) -> NDArray[np.uint32]:
    """The number of each value."""
    encoded = pa.chunked_array([column.combine_chunks()]).dictionary_encode().combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    of_value = np.array([numbers[value] for value in encoded.dictionary.to_pylist()], dtype=np.uint32)
    return of_value[encoded.indices.to_numpy()] if len(of_value) else np.zeros(0, dtype=np.uint32)


def _with_keys(keys: bytes, dtype: np.dtype[Any]) -> Entries:
    halves_N2 = np.frombuffer(keys, dtype=">u8").reshape(-1, KEY_BYTES // 8)
    entries_N = np.zeros(len(halves_N2), dtype=dtype)
    entries_N["high"], entries_N["low"] = halves_N2[:, 0], halves_N2[:, 1]
    return entries_N


def _sorted(parts: list[Entries], dtype: np.dtype[Any], what: str) -> Entries:
    """All entries by key; raises DataCorrupt where a key is there twice."""
    entries_N = np.zeros(sum(map(len, parts)), dtype=dtype)  # np.concatenate would turn the keys' bytes round
    start = 0
    for part_N in parts:
        entries_N[start : start + len(part_N)] = part_N
        start += len(part_N)
    high_N, low_N = entries_N["high"].astype(np.uint64), entries_N["low"].astype(np.uint64)
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
    parts: list[tuple[int, bytes]] = []
    start = len(MAGIC) + 4 + len(json.dumps(header, ensure_ascii=True)) + (2 * 4 + 1) * _ROOM
    at = start + -start % 8
    for name, entries_N in (("users", users_N), ("covers", covers_N)):
        bits, directory = _directory(entries_N)
        place = {"rows": len(entries_N), "bits": bits, "directory": at, "entries": at + directory.nbytes}
        header[name] = place
        parts += [(at, directory.tobytes()), (place["entries"], entries_N.tobytes())]
        at = place["entries"] + entries_N.nbytes
        at += -at % 8
    header["hashes"] = at
    body = json.dumps(header, ensure_ascii=True).encode()
    parts.insert(0, (0, MAGIC + struct.pack("<I", len(body)) + body))
    pieces, size = [], 0
    for begin, data in [*parts, (at, b"")]:
        pieces += [bytes(begin - size), data]
        size = begin + len(data)
    hashes = block_hashes(pieces)
    digest = hashlib.sha256()
    with path.open("wb") as sink:
        for piece in (*pieces, hashes):
            digest.update(piece)
            sink.write(piece)
    seal = hashlib.sha256(hashes).hexdigest()
    return IndexFile(rows=len(covers_N), size=size + len(hashes), sha256=digest.hexdigest(), seal=seal)


if USER_ENTRY.size != _USER.itemsize or COVER_ENTRY.size != _COVER.itemsize:  # pragma: no cover - a slip of the pen
    raise DataCorrupt("index.py and index_build.py disagree about the layout of an index")
