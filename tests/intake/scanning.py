"""Every byte of a store as it could be read by somebody curious: as it lies there, and out of Parquet and compressed files."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from icg_tasks.lake.store import ObjectStore


def readable_bytes(store: ObjectStore, *without: str) -> Iterator[tuple[str, bytes]]:
    """(key, bytes) of everything whose key starts with none of these prefixes; Parquet also as text, with its metadata."""
    for key in store.list(""):
        if key.startswith(without):
            continue
        data = store.get(key)
        yield key, data
        if data[:4] == b"PAR1":
            table = pq.read_table(io.BytesIO(data))
            for name in table.column_names:
                yield f"{key} {name}", _text(table.column(name))
            yield f"{key} (schema)", str(table.schema.metadata).encode() + str(table.schema).encode()
        for opened in _opened(data):
            yield f"{key} (compressed)", opened


def _text(column: pa.ChunkedArray) -> bytes:
    if pa.types.is_list(column.type) and not pa.types.is_string(column.type.value_type):
        return b""
    return json.dumps(column.to_pylist(), default=str, ensure_ascii=False).encode()


def _opened(data: bytes) -> Iterator[bytes]:
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        yield pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    at = data.find(b"zTXt")
    if data[:4] == b"\x89PNG" and at > 0:  # compressed text in a PNG
        yield zlib.decompress(data[at + 4 :].split(b"\0\0", 1)[1])


def keys_with(store: ObjectStore, words: list[str], *without: str) -> list[str]:
    """Where any of these words can be read."""
    wanted = [word.encode() for word in words]
    return sorted({key for key, data in readable_bytes(store, *without) if any(word in data for word in wanted)})
