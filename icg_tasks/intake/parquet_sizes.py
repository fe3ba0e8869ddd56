"""How large a text column of a Parquet file becomes once decoded, told from its pages before anything is decoded.

A dictionary page of one huge text and a million references to it make a small file that fills the memory; reading every text
as a dictionary is safe from that but hashes each value, which takes ten times as long as reading. So the pages are looked at
first: layout and Thrift compact protocol as in the Parquet format's specification ("Page header", "Plain", "Dictionary").
Whatever is not plainly as written there gives None, and the caller reads the slow way. Offsets, sizes and counts are not
trusted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

_HEADER_BYTES = 1 << 16
_MAX_DICTIONARY_BYTES = 1 << 24
_MAX_PAGES = 100_000
_CODECS = {"ZSTD": "zstd", "SNAPPY": "snappy", "GZIP": "gzip", "BROTLI": "brotli", "UNCOMPRESSED": None}
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_WHOLE, _BY_DICTIONARY, _SHARED_PREFIXES = (0, 6), (2, 8), 7

Header = dict[int, Any]


class _OddError(Exception):
    """The page is not as the common writers make it."""


@dataclass(frozen=True, kw_only=True)
class TextSizes:
    """Most bytes that all texts of a column chunk take together (None where that depends on what they share with each other),
    and most that one takes.
    """

    total: int | None
    longest: int


def text_sizes(path: Path, chunk: Any) -> TextSizes | None:
    """Of a column chunk (pyarrow's ColumnChunkMetaData); None where nothing can be told."""
    try:
        with path.open("rb") as file:
            return _sizes(file, chunk)
    except (_OddError, OSError, ValueError, IndexError, OverflowError, pa.ArrowException):
        return None


def _sizes(file: BinaryIO, chunk: Any) -> TextSizes:
    total, stored, entry, shared = 0, 0, None, False
    for number, (header, start) in enumerate(_pages(file, chunk)):
        if header.get(1) == _DICTIONARY:
            if number:
                raise _OddError("a dictionary page after the first page")
            entry = _longest_entry(file, header, start, chunk.compression)
            continue
        values, encoding = _data_page(header)
        size = _checked(header.get(2))
        if encoding in _WHOLE:
            total += size
        elif encoding == _SHARED_PREFIXES:
            shared = True
        elif encoding in _BY_DICTIONARY and entry is not None:
            total += values * entry
        else:
            raise _OddError(f"encoding {encoding}")
        stored += size
    return TextSizes(total=None if shared else total, longest=max(stored, entry or 0))


def _pages(file: BinaryIO, chunk: Any) -> Iterator[tuple[Header, int]]:
    """Header and start of the body of each page, from where Arrow begins to read."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    end = start + chunk.total_compressed_size
    for _ in range(_MAX_PAGES):
        if start >= end:
            return
        file.seek(start)
        header, length = _read_struct(file.read(_HEADER_BYTES), 0, 0)
        yield header, start + length
        start += length + _checked(header.get(3))
    raise _OddError("too many pages")


def _data_page(header: Header) -> tuple[int, int]:
    """Values and encoding of a data page of either version."""
    if header.get(1) == _DATA and isinstance(header.get(5), dict):
        return _checked(header[5].get(1)), _checked(header[5].get(2))
    if header.get(1) == _DATA_V2 and isinstance(header.get(8), dict):
        return _checked(header[8].get(1)), _checked(header[8].get(4))
    raise _OddError(f"page type {header.get(1)}")


def _longest_entry(file: BinaryIO, header: Header, start: int, codec: str) -> int:
    """Bytes of the longest text of a dictionary page: each is its length in four bytes, then itself."""
    size, stored, described = _checked(header.get(2)), _checked(header.get(3)), header.get(7)
    if max(size, stored) > _MAX_DICTIONARY_BYTES or codec not in _CODECS or not isinstance(described, dict):
        raise _OddError("dictionary page")
    file.seek(start)
    data = file.read(stored)
    name = _CODECS[codec]
    if name is not None:
        data = pa.decompress(data, decompressed_size=size, codec=name, asbytes=True)
    longest = at = 0
    for _ in range(_checked(described.get(1))):
        if at + 4 > len(data):
            raise _OddError("dictionary page shorter than it says")
        length = int.from_bytes(data[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
    return longest


def _checked(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _OddError(f"a size or count of {value!r}")
    return value


def _read_struct(data: bytes, at: int, depth: int) -> tuple[Header, int]:
    """A struct of Thrift's compact protocol as {field: value}, and where it ends."""
    if depth > 4:
        raise _OddError("nested too deeply")
    fields: Header = {}
    number = 0
    while True:
        first, at = data[at], at + 1
        if first == 0:
            return fields, at
        step, kind = first >> 4, first & 0x0F
        if step:
            number += step
        else:
            number, at = _read_integer(data, at)
        fields[number], at = _read_value(data, at, kind, depth)


def _read_value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _read_integer(data, at)
    if kind == 8:
        length, at = _read_varint(data, at)
        if at + length > len(data):
            raise _OddError("a text beyond the header")
        return data[at : at + length], at + length
    if kind == 12:
        return _read_struct(data, at, depth + 1)
    raise _OddError(f"Thrift type {kind}")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _OddError("a number of more than 64 bits")


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at
