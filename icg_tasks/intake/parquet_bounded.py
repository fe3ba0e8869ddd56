"""A Parquet file from outside as a table, its size bounded before it is decoded. Knows no store and no data set."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.intake.parquet_sizes import text_sizes

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}


class UnreadableFileError(DataCorrupt):
    """A file no row can be read from: a short ``reason``, and how many rows it would have held where that is known."""

    def __init__(self, reason: str, detail: str, *, rows: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.rows = rows


def read_parquet_bounded(path: Path, max_bytes: int) -> pa.Table:
    """A Parquet file as a table; raises UnreadableFileError where it is not one, or larger than ``max_bytes`` once decoded."""
    try:
        return _decode(path, max_bytes)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise UnreadableFileError("file_unreadable", f"not a whole Parquet file: {str(error)[:300]}") from error


def _decode(path: Path, max_bytes: int) -> pa.Table:
    with pq.ParquetFile(path) as plain:
        schema = plain.schema_arrow
        footer = plain.metadata
    decoded = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
    if max(decoded, footer.num_rows) > max_bytes:
        raise _too_large(decoded, "once decoded", max_bytes)
    texts = frozenset(item.name for item in schema if pa.types.is_string(item.type) or pa.types.is_binary(item.type))
    ways = _ways_to_read(path, footer, texts, max_bytes)
    with pq.ParquetFile(path, read_dictionary=ways.dictionaries) as file:
        rest = [name for name in dict.fromkeys(schema.names) if name not in ways.slices] if ways.slices else None
        parts = [file.read(columns=rest, use_threads=False)]
        parts += [_read_slices(file, name, rows, max_bytes) for name, rows in ways.slices.items()]
    columns = [column for part in parts for column in part.columns]
    expanded = sum(_expanded_bytes(column) for column in columns)
    if expanded > max_bytes:
        raise _too_large(expanded, "of text", max_bytes)
    return pa.table(columns, [name for part in parts for name in part.column_names])


@dataclass(frozen=True, kw_only=True)
class _Ways:
    """How text columns are read that may take too much: as dictionaries, so that a small file of one huge repeated text cannot
    fill the memory, or where Arrow cannot do that, so many rows at once. Others are read as they are, ten times as fast.
    """

    dictionaries: list[str]
    slices: dict[str, int]


def _ways_to_read(path: Path, footer: pq.FileMetaData, texts: frozenset[str], max_bytes: int) -> _Ways:
    """Raises UnreadableFileError where a column that is no text is too large."""
    ways, numbers = _Ways(dictionaries=[], slices={}), 0
    for place in range(footer.num_columns):
        leaf = footer.schema.column(place)
        chunks = [footer.row_group(group).column(place) for group in range(footer.num_row_groups)]
        if leaf.physical_type != "BYTE_ARRAY":
            numbers += (_WIDTHS.get(leaf.physical_type) or leaf.length) * sum(chunk.num_values for chunk in chunks)
            continue
        sizes = [text_sizes(path, chunk) for chunk in chunks]
        total = sum(max_bytes if size is None or size.total is None else size.total for size in sizes)
        if leaf.path in texts and leaf.max_repetition_level == 0 and leaf.max_definition_level <= 1:
            if total > max_bytes // len(texts):
                known = [size for size in sizes if size is not None]
                if len(known) == len(sizes) and any(size.total is None for size in known):
                    ways.slices[leaf.path] = max(1, max_bytes // max(1, *(size.longest for size in known)))
                else:
                    ways.dictionaries.append(leaf.path)
        elif total > max_bytes:
            what = f"of text, or more than can be told, in column {ascii(leaf.path)[1:-1][:60]}"
            raise _too_large(total, what, max_bytes)
    if numbers > max_bytes:
        raise _too_large(numbers, "of numbers", max_bytes)
    return ways


def _read_slices(file: pq.ParquetFile, name: str, rows: int, max_bytes: int) -> pa.Table:
    """One column, no more than so many rows decoded at a time; raises UnreadableFileError as soon as it is too much."""
    batches, size = [], 0
    for batch in file.iter_batches(batch_size=rows, columns=[name], use_threads=False):
        batches.append(batch)
        size += batch.nbytes
        if size > max_bytes:
            raise _too_large(size, "of text", max_bytes)
    return pa.Table.from_batches(batches)


def _too_large(size: int, what: str, max_bytes: int) -> UnreadableFileError:
    return UnreadableFileError("file_too_large", f"{size} bytes {what}; intake.max_raw_file_bytes allows {max_bytes}")


def _expanded_bytes(column: pa.ChunkedArray) -> int:
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    total = 0
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary).fill_null(0)
        total += pc.sum(lengths.take(chunk.indices.fill_null(0)) if len(chunk.dictionary) else lengths).as_py() or 0
    return int(total)
