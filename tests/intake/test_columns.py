"""Columns of any Arrow type become values with a mark, never an exception."""

import decimal
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from icg_tasks.intake.columns import Column, Kind, concat_columns, parse_table


def parsed(values: object, kind: Kind, arrow_type: pa.DataType | None = None) -> Column:
    return parse_table(pa.table({"x": pa.array(values, arrow_type)}), {"x": kind})["x"]


def states(column: Column) -> str:
    return "".join("m" if gone else "x" if bad else "." for gone, bad in zip(column.missing, column.malformed, strict=True))


@pytest.mark.parametrize(
    ("values", "arrow_type", "expected", "marks"),
    [
        (["a", None, ""], pa.string(), ["a", None, ""], ".m."),
        (["a", None], pa.large_string(), ["a", None], ".m"),
        ([b"a", b"\xff\xfe", None], pa.binary(), ["a", None, None], ".xm"),
        ([5, None], pa.int32(), ["5", None], ".m"),
        (["a", "b", "a"], pa.dictionary(pa.int32(), pa.string()), ["a", "b", "a"], "..."),
        ([1.5, None], pa.float64(), [None, None], "xm"),
        ([["a"], None], pa.list_(pa.string()), [None, None], "xm"),
        ([None, None], pa.null(), [None, None], "mm"),
    ],
)
def test_text(values, arrow_type, expected, marks):
    column = parsed(values, Kind.TEXT, arrow_type)
    assert column.values.to_pylist() == expected
    assert states(column) == marks


def test_text_column_with_bytes_that_are_not_utf8():
    raw = pa.array([b"fine", b"\xff\xfe"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    column = parse_table(pa.table({"x": broken}), {"x": Kind.TEXT})["x"]
    assert column.values.to_pylist() == ["fine", None]
    assert states(column) == ".x"


@pytest.mark.parametrize(
    ("values", "arrow_type", "expected", "marks"),
    [
        ([1, None], pa.int64(), [1.0, np.nan], ".m"),
        ([2**63 + 1], pa.uint64(), [float(2**63)], "."),
        ([0.5, float("nan"), float("inf")], pa.float64(), [0.5, np.nan, np.inf], ".x."),
        ([True, False, None], pa.bool_(), [1.0, 0.0, np.nan], "..m"),
        (["3", "three", None, ""], pa.string(), [3.0, np.nan, np.nan, np.nan], ".xmx"),
        ([decimal.Decimal("1.5")], pa.decimal128(5, 2), [1.5], "."),
        ([{"a": 1}], pa.struct([("a", pa.int8())]), [np.nan], "x"),
        ([datetime(2026, 3, 1)], pa.timestamp("us"), [np.nan], "x"),
    ],
)
def test_numbers(values, arrow_type, expected, marks):
    column = parsed(values, Kind.NUMBER, arrow_type)
    np.testing.assert_equal(column.values, np.array(expected))
    assert states(column) == marks


MOMENT = int(datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-03-01T10:00:00Z", MOMENT),
        ("2026-03-01T10:00:00.250Z", MOMENT + 250),
        ("2026-03-01 10:00", MOMENT),
        ("2026-03-01T12:00:00+02:00", MOMENT),
        ("2026-03-01", MOMENT - 36_000_000),
    ],
)
def test_times_that_can_be_read(text, milliseconds):
    column = parsed([text], Kind.TIME)
    assert states(column) == "."
    assert column.values[0] == milliseconds


@pytest.mark.parametrize(
    "text", ["now", "today", "1772359200", "yesterday, about noon", "2026-02-31T10:00:00Z", "2026-13-01", "", "NaT"]
)
def test_times_that_cannot_be_read_and_never_the_clock(text):
    assert states(parsed([text], Kind.TIME)) == "x"


def test_years_beyond_nanoseconds_are_times_not_garbage():
    column = parsed(["9026-03-01T00:00:00Z", "0001-01-01T00:00:00Z"], Kind.TIME)
    assert states(column) == ".."
    assert column.values[0] > MOMENT > column.values[1]


PLAIN = some.builds(
    lambda moment, places: (
        f"{moment:%Y-%m-%dT%H:%M:%S}" + (f".{moment.microsecond // 1000:03d}"[: places + 1] if places else "") + "Z"
    ),
    some.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)),
    some.integers(0, 3),
)
ODD = some.sampled_from(
    ["2026-03-01", "2026-03-01T10:00:00+0130", "2026-02-30T10:00:00Z", "noon", None, "2026-03-01T10:00:00.123456Z"]
)


@settings(max_examples=60, deadline=None)
@given(plain=some.lists(PLAIN, min_size=1), odd=some.lists(ODD))
def test_times_that_all_are_plain_are_read_as_they_are_among_others(plain, odd):
    """Plain times alone take another way than times among which one is not plain."""
    alone, among = parsed(plain, Kind.TIME), parsed([*plain, *odd, "2026-03-01"], Kind.TIME)
    assert alone.values.tolist() == among.values.tolist()[: len(plain)]
    assert states(alone) == states(among)[: len(plain)] == "." * len(plain)
    assert states(parsed([*plain, None], Kind.TIME)) == states(alone) + "m"


def test_arrow_times_of_every_kind():
    when = datetime(2026, 3, 1, 10)
    for unit in ("s", "ms", "us", "ns"):
        for zone in (None, "UTC"):
            assert parsed([when], Kind.TIME, pa.timestamp(unit, tz=zone)).values[0] == MOMENT
    assert parsed([date(2026, 3, 1)], Kind.TIME, pa.date32()).values[0] == MOMENT - 36_000_000
    assert states(parsed([5, None], Kind.TIME, pa.int64())) == "xm"


def test_absent_and_doubled_columns_are_missing_everywhere():
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    columns = parse_table(table, {"x": Kind.NUMBER, "y": Kind.TEXT})
    assert states(columns["x"]) == "m"
    assert states(columns["y"]) == "m"


def test_files_below_each_other():
    parts = [parse_table(pa.table({"x": ["a"]}), {"x": Kind.TEXT}), parse_table(pa.table({"x": [1.5]}), {"x": Kind.TEXT})]
    whole = concat_columns(parts)["x"]
    assert whole.values.to_pylist() == ["a", None]
    assert states(whole) == ".x"
