"""An added column is fine, another width of a type too; another type is a fault where it is more than a stray file."""

import pyarrow as pa

from icg_tasks.intake.impression_rules import KINDS
from icg_tasks.intake.raw import RawDay
from icg_tasks.intake.schema_changes import SchemaReport, compare_types

FORMER = {"position": "number", "surface": "text", "shown_at": "text"}


def compared(*tables: pa.Table, former: dict[str, str] | None = None, accept: bool = False) -> SchemaReport:
    raw = RawDay(tables={f"f{number}": table for number, table in enumerate(tables)}, bad_files=[])
    return compare_types(raw, KINDS, FORMER if former is None else former, ["colour"], max_rows=5.0, accept=accept)


def of(position: pa.Array, **more: list[str]) -> pa.Table:
    return pa.table({"position": position, "surface": ["home"] * len(position), **more})


def test_widths_dictionaries_and_nulls_are_no_change():
    for position in (pa.array([1] * 9, pa.int8()), pa.array([1.0] * 9), pa.nulls(9)):
        report = compared(of(position))
        assert (report.faults, report.remarks) == ([], [])
        assert report.types["position"] == "number"


def test_an_added_column_is_remarked_once():
    assert compared(of(pa.array([1] * 9), mood=["x"] * 9)).remarks == ["new columns, ignored: mood"]
    assert compared(of(pa.array([1] * 9), colour=["x"] * 9)).remarks == []


def test_a_changed_type_is_a_fault_and_can_be_accepted():
    report = compared(of(pa.array(["1"] * 9)))
    assert len(report.faults) == 1
    assert "position changed its type from number to text" in report.faults[0]
    accepted = compared(of(pa.array(["1"] * 9)), accept=True)
    assert accepted.faults == []
    assert accepted.types["position"] == "text"


def test_a_type_that_cannot_hold_the_column_is_a_fault_on_the_first_day_too():
    report = compared(of(pa.array([[1]] * 9)), former={}, accept=True)
    assert "position comes as nested, expected a number" in report.faults[0]


def test_a_stray_file_is_a_remark_and_the_usual_type_stays():
    report = compared(of(pa.array([1] * 90)), of(pa.array(["1"] * 3)))
    assert report.faults == []
    assert "(3 rows)" in report.remarks[0]
    assert report.types["position"] == "number"
