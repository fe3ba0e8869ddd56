"""Whether raw columns still come in the types they came in before: an added column is fine, a changed type is not.

Types are told apart as people do (text, number, time, truth), so int32 for int64 is no change. Knows schemas of files, no rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from icg_tasks.intake.columns import Kind
from icg_tasks.intake.raw import RawDay

NESTED = "nested"
_READABLE = {
    Kind.TEXT: {"text", "number"},
    Kind.NUMBER: {"number", "truth", "text"},
    Kind.TIME: {"time", "text"},
}


@dataclass(frozen=True, kw_only=True)
class SchemaReport:
    """``types``: declared column → family, as most rows have it; ``faults``: too much to go on; ``remarks``: the rest."""

    types: dict[str, str]
    faults: list[str]
    remarks: list[str]


def family(kind: pa.DataType) -> str:
    """The family of an Arrow type; empty for a column that holds nothing but nulls.

    >>> family(pa.int32()), family(pa.dictionary(pa.int8(), pa.string())), family(pa.list_(pa.int8()))
    ('number', 'text', 'nested')
    """
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_null(inner):
        return ""
    if pa.types.is_boolean(inner):
        return "truth"
    if pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_decimal(inner):
        return "number"
    if pa.types.is_temporal(inner):
        return "time"
    return NESTED if pa.types.is_nested(inner) else "text"


def compare_types(
    raw: RawDay,
    kinds: Mapping[str, Kind],
    former: Mapping[str, str],
    known: Sequence[str],
    *,
    max_rows: float,
    accept: bool,
) -> SchemaReport:
    """The day's types against those of the last clean day (``former``; empty on the first) and ``known`` columns ignored then.

    A type that cannot hold its column, or another one than before, is a fault where more than ``max_rows`` rows come so;
    ``accept`` takes readable ones as the new usual.
    """
    rows: dict[str, dict[str, int]] = {name: {} for name in kinds}
    for table in raw.tables.values():
        for name in kinds:
            if table.column_names.count(name) == 1 and (found := family(table.schema.field(name).type)):
                rows[name][found] = rows[name].get(found, 0) + table.num_rows
    types: dict[str, str] = {}
    faults: list[str] = []
    remarks: list[str] = []
    for name, counts in rows.items():
        for found, count in sorted(counts.items()):
            problem = _problem(name, kinds[name], found, former.get(name, ""), accept=accept)
            if problem and count:
                (faults if count > max_rows else remarks).append(f"{problem} ({count} rows)")
        if counts:
            types[name] = max(sorted(counts), key=lambda found, counts=counts: counts[found])  # type: ignore[misc]
    columns = {name for table in raw.tables.values() for name in table.column_names}
    added = sorted({plain_name(name) for name in columns - set(kinds)} - set(known))
    if added and former:
        remarks.append(f"new columns, ignored: {', '.join(added)}")
    return SchemaReport(types={**former, **types}, faults=faults, remarks=remarks)


def plain_name(name: str) -> str:
    """A column's name from outside, fit for a line of text.

    >>> plain_name("mood"), plain_name("a" * 99) == "a" * 60, plain_name("\\n")
    ('mood', True, '\\\\n')
    """
    return ascii(name)[1:-1][:60]


def _problem(name: str, kind: Kind, found: str, former: str, *, accept: bool) -> str:
    if found not in _READABLE[kind]:
        return f"column {name} comes as {found}, expected {kind.value}; mend the export and deliver the day again"
    if former and found != former and not accept:
        return (
            f"column {name} changed its type from {former} to {found}; mend the export and deliver the day again, or take it "
            "as it is for this run (intake.accept_type_changes=true), which makes it the usual type from then on"
        )
    return ""
