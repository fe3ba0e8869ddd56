"""Columns of manifest and segments as arrays of what an index holds: keys, ids, numbers of segments and kinds.

A whole column at a time: no value becomes a Python object but for the one hash of each cover's key. Knows tables; nothing of
the file they end up in. Legend: N rows.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.covers.index import KEY_BYTES, user_key

ID_BYTES = 32
_BATCH_ROWS = 1 << 19
_KIND = ("width", "height", "made_on")

Kind = tuple[int, int, str]
"""Width, height, date it was made on: what many covers have in common."""
Numbers = NDArray[np.uint32]


def batches(tables: Sequence[pa.Table], *columns: str) -> Iterable[tuple[int, pa.RecordBatch]]:
    """All rows, in pieces small enough that no column's text comes near the 2 GB it may have; with each one's first row."""
    start = 0
    for table in tables:
        for batch in table.select(columns).to_batches(max_chunksize=_BATCH_ROWS):
            yield start, batch
            start += batch.num_rows


def cover_keys(batch: pa.RecordBatch) -> bytes:
    """The key that CoverIndex.cover asks for of every row, and 16 bytes more that do not count."""
    parts = [pc.cast(batch[name], pa.string()) for name in ("segment_id", "item_id", "variant")]
    places_N, text = _text(pc.binary_join_element_wise(*parts, "\0"))
    sha256 = hashlib.sha256
    return b"".join([sha256(text[start:end]).digest() for start, end in pairwise(places_N.tolist())])


def user_keys(column: pa.Array) -> bytes:
    """index.user_key of every row: keyed hashes as they are, all at once; where any is none, one by one."""
    text = _of_length(column, 2 * KEY_BYTES)
    keys = _from_hex(text)
    if text is not None and keys.hex().encode() == text:
        return keys
    return b"".join(map(user_key, column.to_pylist()))


def cover_ids(column: pa.Array) -> bytes:
    """The 32 bytes of every id; raises DataCorrupt for what is none."""
    found = _from_hex(_of_length(column, 2 * ID_BYTES))
    if len(found) != ID_BYTES * len(column):
        raise DataCorrupt("a cover id is no SHA-256 of 64 hex digits; make those covers again")
    return found


def numbers_of(column: pa.Array, numbers: Mapping[str, int]) -> Numbers:
    """The number of each value."""
    encoded = column.dictionary_encode()
    of_value = np.array([numbers[value] for value in encoded.dictionary.to_pylist()], dtype=np.uint32)
    return of_value[encoded.indices.to_numpy()] if len(of_value) else np.zeros(0, dtype=np.uint32)


def numbered_kinds(tables: Sequence[pa.Table]) -> tuple[list[Kind], Numbers]:
    """All kinds there are, ordered as their texts are, and the number of each row's."""
    parts: list[tuple[list[Kind], NDArray[np.int64]]] = [_kinds(batch) for _, batch in batches(tables, *_KIND)]
    kinds = sorted({kind for found, _ in parts for kind in found}, key=lambda kind: " ".join(map(str, kind)))
    numbers = {kind: number for number, kind in enumerate(kinds)}
    mine = [np.array([numbers[kind] for kind in found], dtype=np.uint32)[codes_N] for found, codes_N in parts]
    return kinds, np.concatenate(mine) if mine else np.zeros(0, dtype=np.uint32)


def _kinds(batch: pa.RecordBatch) -> tuple[list[Kind], NDArray[np.int64]]:
    """The kinds of a batch, and for each row the place of its own among them."""
    codes_N = np.zeros(batch.num_rows, dtype=np.int64)
    values: list[list[Any]] = []
    for name in _KIND:
        encoded = batch[name].dictionary_encode()
        values.append(encoded.dictionary.to_pylist())
        codes_N = codes_N * len(values[-1]) + encoded.indices.to_numpy()
    together = pa.array(codes_N).dictionary_encode()
    found = []
    for code in together.dictionary.to_pylist():
        rest, made_on = divmod(code, len(values[2]))
        width, height = divmod(rest, len(values[1]))
        found.append((int(values[0][width]), int(values[1][height]), str(values[2][made_on])))
    return found, together.indices.to_numpy().astype(np.int64)


def _from_hex(text: bytes | None) -> bytes:
    """Nothing where it is no hex."""
    try:
        return bytes.fromhex((text or b"").decode("ascii"))
    except ValueError:
        return b""


def _of_length(column: pa.Array, characters: int) -> bytes | None:
    """All values in one, None where any is of another length."""
    places_N, text = _text(column)
    return text if (np.diff(places_N) == characters).all() else None


def _text(column: pa.Array) -> tuple[NDArray[np.int64], bytes]:
    """Where each value begins (and the last one ends), and all of them in one; raises DataCorrupt where one is missing."""
    if column.null_count:
        raise DataCorrupt(f"{column.null_count} rows lack a user, a segment, an item or a cover; run the stage that wrote them")
    values = column.cast(pa.large_string())
    _, places, text = values.buffers()
    places_N = np.frombuffer(places, dtype=np.int64)[values.offset : values.offset + len(values) + 1] if len(values) else None
    if places_N is None or text is None:
        return np.zeros(len(values) + 1, dtype=np.int64), b""
    first, end = int(places_N[0]), int(places_N[-1])
    return places_N - first, text.slice(first, end - first).to_pybytes()
