"""Raw files of a day to one set of parsed columns and back: verdicts over all rows become quarantine rows of each file.

Shared by the data sets; does not know their rules.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from icg_tasks.contracts.schemas import QUARANTINE
from icg_tasks.intake.columns import Column, Kind, concat_columns, parse_table
from icg_tasks.intake.quarantine import quarantine_files, quarantine_rows
from icg_tasks.intake.raw import RawDay
from icg_tasks.intake.rules import Rule, Verdicts
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.store import ObjectStore


def parse_day(raw: RawDay, kinds: Mapping[str, Kind]) -> dict[str, Column]:
    """Columns of all files below each other, in key order."""
    empty = pa.schema([]).empty_table()
    return concat_columns([parse_table(table, kinds) for table in raw.tables.values()] or [parse_table(empty, kinds)])


def write_quarantine(
    store: ObjectStore,
    dataset: str,
    day: date,
    *,
    raw: RawDay,
    found: Verdicts,
    rules: Sequence[Rule],
    declared: Sequence[str],
    key: bytes | None = None,
) -> dict[str, int]:
    """Replace the day's quarantine partition; returns rows per reason, most frequent first."""
    parts = [quarantine_files(raw.bad_files)]
    start = 0
    for source, table in raw.tables.items():
        here = found[start : start + table.num_rows]
        parts.append(quarantine_rows(source, table, here, rules, declared=declared, key=key))
        start += table.num_rows
    whole = pa.concat_tables(parts)
    reasons = dict(sorted(Counter(whole.column("reason").to_pylist()).items(), key=lambda entry: (-entry[1], entry[0])))
    write_partition(store, dataset, day, [whole], schema=QUARANTINE, metadata={"reasons": reasons})
    return reasons


def charged_rows(found: Verdicts, rules: Sequence[Rule], raw: RawDay) -> int:
    """Rows that count against the failure budget: refused by a rule that is charged, or lost with their file."""
    charged = np.array([False, *[rule.charged for rule in rules]])
    return int(charged[found].sum()) + raw.lost_rows


def clean_metadata(raw: RawDay, declared: Sequence[str], reasons: Mapping[str, int]) -> dict[str, Any]:
    """What a clean partition's manifest says about its raw day: rows, reasons of quarantine, ignored columns (as plain short
    names), and what the raw data's writer says about where it comes from (its ``provenance``).
    """
    names = {name for table in raw.tables.values() for name in table.column_names}
    body: dict[str, Any] = {
        "raw_rows": raw.readable_rows + raw.lost_rows,
        "quarantined": dict(reasons),
        "unknown_columns": sorted(ascii(name)[1:61] for name in names - set(declared)),
    }
    if "provenance" in raw.metadata:
        body["provenance"] = raw.metadata["provenance"]
    return body
