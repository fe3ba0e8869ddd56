"""Quarantined rows as a table: why each row is here, what to do, and the raw row as JSON with its user already a keyed hash.

Columns nobody declared are left out of the JSON (they could hold a raw user id under another name). Writes nothing itself.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from icg_tasks.contracts.schemas import QUARANTINE
from icg_tasks.intake.columns import readable_text
from icg_tasks.intake.raw import BadFile
from icg_tasks.intake.rules import Rule, Verdicts

MAX_TEXT = 2_000
SHOWN_TEXT = 80
FILE_ADVICE = "deliver the file again as a whole Parquet file with the declared columns, then run this stage again"


def quarantine_rows(
    source: str,
    table: pa.Table,
    found: Verdicts,
    rules: Sequence[Rule],
    *,
    declared: Sequence[str],
    user_name: Callable[[str], str] | None,
) -> pa.Table:
    """Rows of one raw file that a rule refused, in file order (schema QUARANTINE).

    ``found`` has one verdict per row; ``user_name`` hashes a user id, None where the data set has no users.
    """
    numbers = np.flatnonzero(found)
    names = [name for name in declared if table.column_names.count(name) == 1]
    taken = table.take(pa.array(numbers))
    rows = _plain_rows({name: taken.column(name) for name in names}, len(numbers))
    records: dict[str, list[Any]] = {name: [] for name in QUARANTINE.names}
    for number, row in zip(numbers.tolist(), rows, strict=True):
        rule = rules[found[number] - 1]
        if user_name is not None and row.get("user_id") is not None:
            row["user_id"] = user_name(str(row["user_id"]))
        records["row_number"].append(number)
        records["source"].append(source)
        records["reason"].append(rule.reason)
        records["detail"].append(_detail(rule, row))
        records["advice"].append(rule.advice)
        records["row_json"].append(json.dumps(row, ensure_ascii=False, allow_nan=False))
    return pa.table(records, schema=QUARANTINE)


def quarantine_files(bad_files: Sequence[BadFile]) -> pa.Table:
    """One row per unreadable file: row_number -1, no raw row."""
    return pa.table(
        {
            "row_number": [-1 for _ in bad_files],
            "source": [file.key for file in bad_files],
            "reason": [file.reason for file in bad_files],
            "detail": [file.detail for file in bad_files],
            "advice": [FILE_ADVICE for _ in bad_files],
            "row_json": ["{}" for _ in bad_files],
        },
        schema=QUARANTINE,
    )


def judged_again(held: pa.Table, found: Verdicts, rules: Sequence[Rule]) -> pa.Table:
    """Quarantined rows with the reasons of new verdicts; rows that pass now keep their old ones."""
    records = held.to_pylist()
    for record, verdict in zip(records, found.tolist(), strict=True):
        if verdict:
            rule = rules[verdict - 1]
            detail = _detail(rule, json.loads(record["row_json"]))
            record |= {"reason": rule.reason, "detail": detail, "advice": rule.advice}
    return pa.Table.from_pylist(records, schema=QUARANTINE)


def _detail(rule: Rule, row: dict[str, Any]) -> str:
    if rule.column not in row:
        return f"the file has no column {rule.column}; expected {rule.expected}"
    if rule.column == "user_id":
        return f"user_id (not shown here); expected {rule.expected}"
    value = row[rule.column]
    text = "null" if value is None else repr(value)
    return f"{rule.column} is {text[:SHOWN_TEXT]}{'…' if len(text) > SHOWN_TEXT else ''}; expected {rule.expected}"


def _plain_rows(columns: Mapping[str, pa.ChunkedArray], count: int) -> list[dict[str, Any]]:
    plain = {name: [_plain(value) for value in _values(column)] for name, column in columns.items()}
    return [{name: values[row] for name, values in plain.items()} for row in range(count)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    inner = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(inner) or pa.types.is_binary(inner):
        text, unreadable = readable_text(column)
        values = text.to_pylist()
        return ["(not UTF-8)" if bad else value for value, bad in zip(values, unreadable.tolist(), strict=True)]
    try:
        return list(column.to_pylist())
    except (pa.ArrowException, ValueError, OverflowError, UnicodeDecodeError):
        return [f"(unreadable {column.type})"] * len(column)


def _plain(value: Any) -> Any:
    """JSON-ready: numbers that JSON has not and other types as text, long texts cut."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"
