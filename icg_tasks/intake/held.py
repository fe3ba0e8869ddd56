"""Quarantined rows read back: the raw columns they were, as text, and which of them can be judged again.

Knows the schema of quarantine; no rule and no store.
"""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

_OF_FILES = -1  # row_number of a file that no row could be read from


def held_columns(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Raw columns of quarantined rows (schema QUARANTINE), as text; null where a row lacks the value."""
    rows = [json.loads(text) for text in table.column("row_json").to_pylist()]
    values = {name: [_text(row.get(name)) for row in rows] for name in names}
    return pa.table({name: pa.array(column, pa.string()) for name, column in values.items()})


def can_be_judged_again(table: pa.Table) -> list[bool]:
    """Per quarantined row: whether all that its rules look at was kept.

    Not so where a whole file was unreadable, nor where the user's id was amiss: of that only the hash is left.
    """
    numbers, reasons = table.column("row_number").to_pylist(), table.column("reason").to_pylist()
    return [
        number != _OF_FILES and not str(reason).endswith(("_user_id", "user_id_pattern"))
        for number, reason in zip(numbers, reasons, strict=True)
    ]


def _text(value: Any) -> str | None:
    """A JSON value as a platform would have sent it in a column of text."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if value is None or isinstance(value, str) else json.dumps(value)
