"""Delimited text of any size as Arrow batches, a few megabytes at a time.

Knows delimiters, encodings and headers; no data set. A row with too few or too many fields is left out and counted; a value of
the wrong type, a missing column or bytes of another encoding are errors that name the file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import csv

from icg_tasks.contracts.errors import DataCorrupt, DataMissing

_BLOCK_BYTES = 8 << 20
_MAX_BAD_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """``names``: of all columns where the file has no header line; ``double``: two-character delimiter that becomes
    ``delimiter`` while reading (so neither may occur in a value); ``lines_in_values``: quoted values may hold line breaks.
    """

    path: Path
    delimiter: str = ","
    double: bytes = b""
    encoding: str = "utf8"
    names: Sequence[str] = ()
    quoted: bool = True
    lines_in_values: bool = False
    bad_rows: list[int] = field(default_factory=lambda: [0])


def read_batches(
    file: TextFile, columns: Mapping[str, pa.DataType], on_bytes: Callable[[int], None] = lambda _: None
) -> Iterator[pa.RecordBatch]:
    """The named columns, batch by batch; ``on_bytes`` hears how many bytes were read. Raises DataMissing, DataCorrupt."""
    if not file.path.is_file():
        raise DataMissing(f"no file {file.path}; --path must be the folder of the data as its publisher packs it")
    file.bad_rows[0] = 0

    def left_out(_row: csv.InvalidRow) -> str:
        file.bad_rows[0] += 1
        return "skip"

    rows = 0
    try:
        with file.path.open("rb") as raw:
            listening = _Listening(raw, on_bytes, file.double, file.delimiter.encode())
            reader = csv.open_csv(pa.PythonFile(listening, mode="r"), **_options(file, columns, left_out))
            for batch in reader:
                rows += batch.num_rows
                yield batch
    except (pa.ArrowException, UnicodeDecodeError, KeyError) as error:
        wanted = ", ".join(f"{name} ({kind})" for name, kind in columns.items())
        raise DataCorrupt(
            f"{file.path}: {str(error).splitlines()[0][:300]} (after {rows} good rows); expected columns {wanted} between "
            f"{file.double.decode() or file.delimiter!r}; get the file again from its publisher"
        ) from error
    if file.bad_rows[0] > max(1.0, _MAX_BAD_SHARE * rows):
        raise DataCorrupt(
            f"{file.path}: {file.bad_rows[0]} lines beside {rows} good ones have another number of fields; get the file again"
        )


def _options(file: TextFile, columns: Mapping[str, pa.DataType], left_out: Callable[[csv.InvalidRow], str]) -> dict[str, Any]:
    return {
        "read_options": csv.ReadOptions(
            block_size=_BLOCK_BYTES, encoding=file.encoding, column_names=list(file.names) or None, use_threads=False
        ),
        "parse_options": csv.ParseOptions(
            delimiter=file.delimiter,
            quote_char='"' if file.quoted else False,
            newlines_in_values=file.lines_in_values,
            invalid_row_handler=left_out,
        ),
        "convert_options": csv.ConvertOptions(include_columns=list(columns), column_types=dict(columns)),
    }


def header_of(path: Path) -> list[str]:
    """Column names in a comma-separated file's first line, empty where it is no text."""
    with path.open("rb") as file:
        line = file.readline(4_096)
    try:
        return [name.strip().strip('"') for name in line.decode("utf-8-sig").split(",")]
    except UnicodeDecodeError:
        return []


class _Listening:
    """A file that tells how much of it was read, and puts one delimiter for another."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[int], None], double: bytes, single: bytes) -> None:
        self._file, self._on_bytes, self._double, self._single = file, on_bytes, double, single
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; empty at the end only."""
        data = self._file.read(size - 1 if self._double and size > 1 else size)
        self._on_bytes(len(data))
        if not self._double:
            return data
        if data.endswith(self._double[:1]):  # a delimiter may be cut in two here
            more = self._file.read(1)
            self._on_bytes(len(more))
            data += more
        return data.replace(self._double, self._single)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Only forwards."""
        return False

    def close(self) -> None:
        """The file itself is closed by whoever opened it."""
        self.closed = True
