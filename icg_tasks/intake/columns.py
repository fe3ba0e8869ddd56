"""Raw columns of any Arrow type to text, numbers or times, and for each value whether it was there and could be read.

Vectorised over pyarrow and NumPy; a value that cannot be read is marked, never an exception. Does not know data sets or rules.
Shapes: every array has one entry per row of the raw table.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Bools = npt.NDArray[np.bool_]
_ISO_TIME = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$"


class Kind(Enum):
    """What a raw column is meant to hold."""

    TEXT = "text"
    NUMBER = "a number"
    TIME = "an ISO-8601 time in UTC"


@dataclass(frozen=True, kw_only=True)
class Column:
    """``values``: text as a pyarrow string array, numbers as float64, times as int64 milliseconds since 1970 (UTC).

    Where ``missing`` (null or no such column) or ``malformed`` (there, but not of its kind) the value is null, NaN or 0.
    """

    values: Any
    missing: Bools
    malformed: Bools

    @property
    def usable(self) -> Bools:
        """Rows that have a readable value."""
        return ~(self.missing | self.malformed)


def parse_table(table: pa.Table, kinds: Mapping[str, Kind]) -> dict[str, Column]:
    """The named columns of a raw table, parsed; a column that is not in the table is missing in every row."""
    return {name: _parsed(table, name, kind) for name, kind in kinds.items()}


def concat_columns(parts: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    """Parsed columns of several files below each other; raises ValueError without any."""
    if not parts:
        raise ValueError("no parsed files to put below each other")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        stacked = pool.map(lambda name: _stacked([part[name] for part in parts]), parts[0])
        return dict(zip(parts[0], stacked, strict=True))


def readable_text(column: pa.ChunkedArray) -> tuple[pa.Array, Bools]:
    """Text of a string, binary or integer column, null where null or not UTF-8 (the second array marks the latter)."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    nothing = np.zeros(len(column), dtype=bool)
    if pa.types.is_integer(column.type):
        return _one(column.cast(pa.string())), nothing
    try:
        text = _one(column.cast(pa.string()))
        text.validate(full=True)
        return text, nothing
    except pa.ArrowInvalid:
        values = [_decoded(value) for value in _one(column.cast(pa.binary())).to_pylist()]
        text = pa.array(values, pa.string())
        return text, _nulls(text) & ~_nulls(column)


def _parsed(table: pa.Table, name: str, kind: Kind) -> Column:
    if table.column_names.count(name) != 1 or pa.types.is_null(table.schema.field(name).type):
        return _unreadable(kind, missing=np.ones(table.num_rows, dtype=bool))
    column = table.column(name)
    parse = {Kind.TEXT: _text, Kind.NUMBER: _number, Kind.TIME: _time}[kind]
    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return parse(column)
    except (pa.ArrowException, ValueError, OverflowError):  # a type that cannot be read as this kind
        return _unreadable(kind, _nulls(column))


def _unreadable(kind: Kind, missing: Bools) -> Column:
    rows = len(missing)
    empty: dict[Kind, Any] = {
        Kind.TEXT: pa.nulls(rows, pa.string()),
        Kind.NUMBER: np.full(rows, np.nan),
        Kind.TIME: np.zeros(rows, dtype=np.int64),
    }
    return Column(values=empty[kind], missing=missing, malformed=~missing)


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
    )
    return any(test(inner) for test in tests)


def _text(column: pa.ChunkedArray) -> Column:
    missing = _nulls(column)
    if not (_is_text(column.type) or pa.types.is_integer(column.type)):
        return _unreadable(Kind.TEXT, missing)
    values, malformed = readable_text(column)
    return Column(values=values, missing=missing, malformed=malformed)


def _number(column: pa.ChunkedArray) -> Column:
    missing = _nulls(column)
    kind = column.type
    if _is_text(kind):
        text, _ = readable_text(column)
        values = pd.to_numeric(pd.Series(text.to_numpy(zero_copy_only=False)), errors="coerce").to_numpy(dtype=np.float64)
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        whole = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
        values = _one(whole.cast(pa.float64(), safe=False)).to_numpy(zero_copy_only=False)
    else:
        return _unreadable(Kind.NUMBER, missing)
    return Column(values=values, missing=missing, malformed=np.isnan(values) & ~missing)


def _time(column: pa.ChunkedArray) -> Column:
    missing = _nulls(column)
    if _is_text(column.type):
        text, _ = readable_text(column)
        shaped = pc.if_else(pc.fill_null(pc.match_substring_regex(text, _ISO_TIME), False), text, None)
        plain = _plain_times(shaped, missing)
        if plain is not None:
            return plain
        stamps = pd.to_datetime(
            pd.Series(shaped.to_numpy(zero_copy_only=False), dtype=object), format="ISO8601", utc=True, errors="coerce"
        )
    elif pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        milliseconds = pa.timestamp("ms", tz=getattr(column.type, "tz", None))
        values = _one(column.cast(milliseconds, safe=False)).cast(pa.int64()).fill_null(0).to_numpy()
        return Column(values=values, missing=missing, malformed=np.zeros(len(missing), dtype=bool))
    else:
        return _unreadable(Kind.TIME, missing)
    bad = stamps.isna().to_numpy(copy=True)
    values = np.where(bad, 0, stamps.dt.tz_localize(None).to_numpy(dtype="datetime64[ms]").astype(np.int64))
    for row in np.flatnonzero(bad & ~_nulls(shaped)).tolist():  # years that nanoseconds cannot hold, days that do not exist
        found = _distant_ms(shaped[row].as_py())
        if found is not None:
            values[row], bad[row] = found, False
    return Column(values=values, missing=missing, malformed=bad & ~missing)


def _plain_times(shaped: pa.Array, missing: Bools) -> Column | None:
    """Times that all have a zone and no more than milliseconds, as most logs write them; None where one is another way."""
    try:
        values = shaped.cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).fill_null(0).to_numpy()
    except pa.ArrowInvalid:
        return None
    return Column(values=values, missing=missing, malformed=_nulls(shaped) & ~missing)


def _distant_ms(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    whole = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _stacked(parts: Sequence[Column]) -> Column:
    first = parts[0].values
    values = (
        pa.concat_arrays([part.values for part in parts])
        if isinstance(first, pa.Array)
        else np.concatenate([part.values for part in parts])
    )
    return Column(
        values=values,
        missing=np.concatenate([part.missing for part in parts]),
        malformed=np.concatenate([part.malformed for part in parts]),
    )


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _nulls(column: Any) -> Bools:
    whole = _one(column) if isinstance(column, pa.ChunkedArray) else column
    found: Bools = whole.is_null().to_numpy(zero_copy_only=False)
    return found


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
