"""Raw files of a day to one set of parsed columns and back: verdicts over all rows become quarantine rows of each file.

Shared by the data sets; does not know their rules.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pyarrow as pa

from icg_tasks.intake.columns import Column, Kind, concat_columns, parse_table
from icg_tasks.intake.quarantine import quarantine_files, quarantine_rows
from icg_tasks.intake.raw import RawDay
from icg_tasks.intake.rules import Rule, Verdicts
from icg_tasks.intake.schema_changes import plain_name


def parse_day(raw: RawDay, kinds: Mapping[str, Kind]) -> dict[str, Column]:
    """Columns of all files below each other, in key order; files are parsed beside each other."""
    tables = list(raw.tables.values()) or [pa.schema([]).empty_table()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return concat_columns(list(pool.map(partial(parse_table, kinds=kinds), tables)))


def quarantine_table(
    raw: RawDay,
    found: Verdicts,
    rules: Sequence[Rule],
    *,
    declared: Sequence[str],
    user_name: Callable[[str], str] | None,
) -> pa.Table:
    """Every row that is refused, file by file, and a row per unreadable file (schema QUARANTINE)."""
    parts = [quarantine_files(raw.bad_files)]
    start = 0
    for source, table in raw.tables.items():
        here = found[start : start + table.num_rows]
        parts.append(quarantine_rows(source, table, here, rules, declared=declared, user_name=user_name))
        start += table.num_rows
    return pa.concat_tables(parts).combine_chunks()


def clean_metadata(raw: RawDay, declared: Sequence[str], raw_rows: int) -> dict[str, Any]:
    """What a clean partition's manifest says about its raw day: rows, ignored columns (as plain short names), and what the raw
    data's writer says about where it comes from (its ``provenance``).
    """
    names = {name for table in raw.tables.values() for name in table.column_names}
    body: dict[str, Any] = {
        "raw_rows": raw_rows,
        "unknown_columns": sorted(plain_name(name) for name in names - set(declared)),
    }
    if "provenance" in raw.metadata:
        body["provenance"] = raw.metadata["provenance"]
    return body
