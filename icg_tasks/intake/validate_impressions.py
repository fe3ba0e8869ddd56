"""Stage validate-impressions: raw impressions of a day to clean ones, keyed hashes for users, quarantine, Data Docs, a gate.

Judges earlier days without a clean partition first (intake.catch_up_days), so a fresh store gets its window. Does not know
where raw data comes from. Run: ``icg validate-impressions --run-date 2026-03-01`` with ICG_PSEUDONYM_KEY set.
"""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.partitions import (
    IMPRESSIONS,
    IMPRESSIONS_RAW,
    ITEMS,
    QUARANTINE_IMPRESSIONS,
    QUARANTINE_ITEMS,
)
from icg_tasks.contracts.pseudonym import pseudonym_key, pseudonyms
from icg_tasks.contracts.schemas import IMPRESSIONS as SCHEMA
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.columns import Bools, Column
from icg_tasks.intake.days import DayReport, validate_days
from icg_tasks.intake.examine import examine_day
from icg_tasks.intake.impression_rules import KINDS, duplicate_rules, impression_rules, item_known_rules
from icg_tasks.intake.raw import read_raw_day
from icg_tasks.intake.rules import Rule, Verdicts, verdicts
from icg_tasks.intake.sorting import charged_rows, clean_metadata, parse_day, write_quarantine
from icg_tasks.intake.windows import day_start_ms, days_before, trailing_week
from icg_tasks.lake.partitions import (
    find_partition,
    latest_partition_before,
    read_partition,
    write_partition,
)
from icg_tasks.stage import StageContext

_DAY_MS = 86_400_000


def run(context: StageContext) -> StageOutcome:
    """Validate the run date and what is missing before it; raises GateRefused, DataMissing, SettingsError (no key)."""
    key = pseudonym_key()
    return validate_days(
        context,
        raw=IMPRESSIONS_RAW,
        clean=IMPRESSIONS,
        quarantine=QUARANTINE_IMPRESSIONS,
        validate_day=lambda day: _validate_day(context, day, key),
    )


def _validate_day(context: StageContext, day: date, key: bytes) -> DayReport:
    from icg_tasks.intake.suites import impression_suite

    store, settings = context.store, context.settings.intake
    raw = read_raw_day(store, IMPRESSIONS_RAW, day, max_file_bytes=settings.max_raw_file_bytes)
    columns = parse_day(raw, KINDS)
    items_day = _catalogue_day(context, day)
    items = read_partition(store, ITEMS, items_day, ["item_id"]).column("item_id")
    rules, found = _judge(context, day, columns, items, _quarantined_items(context, items_day))
    reasons = write_quarantine(
        store, QUARANTINE_IMPRESSIONS, day, raw=raw, found=found, rules=rules, declared=RAW_IMPRESSIONS.names, key=key
    )
    clean = _clean_table(columns, found == 0, key)
    frame = _frame(clean, items, day)
    figures = _figures(frame, items_day)
    report = examine_day(
        context,
        day,
        dataset="impressions",
        quarantine=QUARANTINE_IMPRESSIONS,
        raw=raw,
        frame=frame,
        suite=impression_suite(settings, trailing_week(store, IMPRESSIONS, day), len(frame)),
        reasons=reasons,
        charged=charged_rows(found, rules, raw),
        figures=figures,
    )
    metadata = {**clean_metadata(raw, RAW_IMPRESSIONS.names, reasons), **figures}
    write_partition(store, IMPRESSIONS, day, [clean], schema=SCHEMA, metadata=metadata)
    quarantined = sum(reasons.values())
    context.say(f"{day}: {clean.num_rows} of {report.raw_rows} rows clean, {quarantined} in quarantine {reasons or ''}")
    return report


def _judge(
    context: StageContext, day: date, columns: Mapping[str, Column], items: pa.ChunkedArray, held: pa.Array
) -> tuple[list[Rule], Verdicts]:
    settings = context.settings.intake
    rules = [*impression_rules(columns, day, settings), *item_known_rules(columns, items, held)]
    rows = len(columns["impression_id"].missing)
    candidates = verdicts(rules, rows) == 0
    earlier = [
        read_partition(context.store, IMPRESSIONS, past, ["impression_id"]).column("impression_id")
        for past in days_before(day, settings.late_days)
        if find_partition(context.store, IMPRESSIONS, past) is not None
    ]
    known = pa.chunked_array([chunk for column in earlier for chunk in column.chunks], pa.string())
    rules += duplicate_rules(columns, candidates, known)
    return rules, verdicts(rules, rows)


def _clean_table(columns: Mapping[str, Column], good: Bools, key: bytes) -> pa.Table:
    """Rows of schema IMPRESSIONS by time, then id."""
    picked = {name: column.values.filter(pa.array(good)) if isinstance(column.values, pa.Array) else column.values[good]
              for name, column in columns.items()}  # fmt: skip
    dwell = np.where(picked["clicked"] == 1, picked["dwell_seconds"], np.nan)
    users = picked["user_id"].dictionary_encode()
    names = pseudonyms(users.dictionary.to_pylist(), key)
    hashed = pa.array([names[name] for name in users.dictionary.to_pylist()], pa.string()).take(users.indices)
    table = pa.table(
        {
            **{name: picked[name] for name in ("impression_id", "item_id", "surface", "cover_id")},
            "user_id": hashed,
            "shown_at": pa.array(picked["shown_at"], pa.timestamp("ms", tz="UTC")),
            "position": pa.array(picked["position"].astype(np.int32)),
            "propensity": pa.array(picked["propensity"]),
            "clicked": pa.array(picked["clicked"] == 1),
            "dwell_seconds": pa.array(dwell, from_pandas=True),
        }
    )
    return table.select(SCHEMA.names).sort_by([("shown_at", "ascending"), ("impression_id", "ascending")])


def _figures(frame: pd.DataFrame, items_day: date) -> dict[str, Any]:
    clicks = int(frame["clicked"].sum())
    return {
        "clicks": clicks,
        "click_rate": round(clicks / max(len(frame), 1), 6),
        "late_rows": int((frame["days_late"] > 0).sum()),
        "catalogue": items_day.isoformat(),
    }


def _frame(clean: pa.Table, items: pa.ChunkedArray, day: date) -> pd.DataFrame:
    """What the suite looks at: the clean rows, clicks as 0/1, and two helper columns."""
    shown = clean.column("shown_at").cast(pa.int64()).to_numpy()
    frame = clean.set_column(
        clean.schema.get_field_index("clicked"), "clicked", clean.column("clicked").cast(pa.int8())
    ).to_pandas()
    frame["item_known"] = pc.is_in(clean.column("item_id"), value_set=items).cast(pa.int8()).to_numpy()
    frame["days_late"] = (day_start_ms(day) - shown + _DAY_MS - 1) // _DAY_MS
    return frame


def _catalogue_day(context: StageContext, day: date) -> date:
    """The day's own clean catalogue, or else the newest before it; raises DataMissing."""
    found = latest_partition_before(context.store, ITEMS, day + timedelta(days=1))
    if found is None:
        raise DataMissing(f"no clean catalogue for {day} or earlier in {context.store.uri}; run `icg validate-items` first")
    return found


def _quarantined_items(context: StageContext, day: date) -> pa.Array:
    """Ids of items that are in quarantine on the catalogue's day."""
    if find_partition(context.store, QUARANTINE_ITEMS, day) is None:
        return pa.array([], pa.string())
    rows = read_partition(context.store, QUARANTINE_ITEMS, day, ["row_json"]).column("row_json").to_pylist()
    ids = {json.loads(row).get("item_id") for row in rows}
    return pa.array(sorted(entry for entry in ids if isinstance(entry, str)), pa.string())
