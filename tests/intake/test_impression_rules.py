"""Each malformed kind of impression has its reason; good rows of every type pass."""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.intake.columns import parse_table
from icg_tasks.intake.impression_rules import CHECKS, KINDS, ImpressionFacts
from icg_tasks.intake.rules import judge

DAY = date(2026, 3, 10)


def reasons(table: pa.Table, earlier: list[str] | None = None, later: list[str] | None = None) -> list[str]:
    facts = ImpressionFacts(
        day=DAY,
        settings=IntakeSettings(),
        items=pa.chunked_array([[f"item-{number:03d}" for number in range(30)]]),
        held=pa.array(["item-held"]),
        earlier=pa.chunked_array([earlier or []], pa.string()),
        later=pa.chunked_array([later or []], pa.string()),
    )
    found = judge(CHECKS, parse_table(table, KINDS), facts)
    return [CHECKS[code - 1].reason if code else "" for code in found.tolist()]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("impression_id", None, "missing_impression_id"),
        ("impression_id", "has space", "impression_id_pattern"),
        ("impression_id", "x" * 129, "impression_id_pattern"),
        ("user_id", None, "missing_user_id"),
        ("user_id", "  ", "user_id_pattern"),
        ("user_id", "u" * 4096, "user_id_pattern"),
        ("user_id", "Zoë Ω 5", ""),
        ("item_id", None, "missing_item_id"),
        ("item_id", "item-999", "unknown_item"),
        ("item_id", "item-held", "item_in_quarantine"),
        ("shown_at", None, "missing_shown_at"),
        ("shown_at", "yesterday, about noon", "malformed_shown_at"),
        ("shown_at", "now", "malformed_shown_at"),
        ("shown_at", "2026-03-11T00:00:00Z", "shown_in_the_future"),
        ("shown_at", "9026-03-10T00:00:00Z", "shown_in_the_future"),
        ("shown_at", "2026-03-10T23:59:59.999Z", ""),
        ("shown_at", "2026-03-07T00:00:00Z", ""),
        ("shown_at", "2026-03-06T23:59:59.999Z", "too_late"),
        ("shown_at", "1970-01-01T00:00:00Z", "too_late"),
        ("surface", None, "missing_surface"),
        ("surface", "billboard", "unknown_surface"),
        ("position", None, "missing_position"),
        ("position", -1, "position_out_of_range"),
        ("position", 64, "position_out_of_range"),
        ("position", 63, ""),
        ("cover_id", "0" * 64, ""),
        ("cover_id", "", "cover_id_pattern"),
        ("cover_id", "../../etc/passwd", "cover_id_pattern"),
        ("propensity", None, "missing_propensity"),
        ("propensity", 0.0, "propensity_out_of_range"),
        ("propensity", 1.7, "propensity_out_of_range"),
        ("propensity", float("inf"), "propensity_out_of_range"),
        ("propensity", 1e-9, ""),
        ("clicked", None, "missing_clicked"),
        ("clicked", 7, "clicked_out_of_range"),
        ("dwell_seconds", -1.0, "dwell_out_of_range"),
        ("dwell_seconds", 9e9, "dwell_out_of_range"),
    ],
)
def test_each_kind_has_its_reason(platform, column, value, reason):
    frame = platform.impression_frame(count=20).astype({"position": object, "clicked": object})
    frame.loc[5, column] = value
    found = reasons(pa.Table.from_pandas(frame, preserve_index=False))
    assert found[5] == reason
    assert found[:5] + found[6:] == [""] * 19


def test_dwell_time_needs_a_click_and_zero_is_none(platform):
    frame = platform.impression_frame(count=20)
    frame["clicked"] = 0
    frame["dwell_seconds"] = np.nan
    frame.loc[3, "dwell_seconds"] = 4.0
    frame.loc[4, "dwell_seconds"] = 0.0
    found = reasons(pa.Table.from_pandas(frame, preserve_index=False))
    assert (found[3], found[4], set(found)) == ("dwell_without_click", "", {"", "dwell_without_click"})


def test_every_type_a_value_may_come_in(platform):
    frame = platform.impression_frame(count=20)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    shown = pa.array(pd.to_datetime(frame["shown_at"], utc=True), pa.timestamp("us", tz="UTC"))
    for name, column in {
        "shown_at": shown,
        "position": pa.array(frame["position"].astype(str)),
        "clicked": pa.array(frame["clicked"] == 1),
        "propensity": pa.array([1] * 20, pa.int8()),
        "user_id": pa.array(range(20), pa.int64()),
        "surface": pa.array(frame["surface"]).dictionary_encode(),
    }.items():
        table = table.set_column(table.column_names.index(name), name, column)
    assert reasons(table) == [""] * 20


@pytest.mark.parametrize("value", [0.5, "many"])
def test_position_of_the_wrong_type(platform, value):
    frame = platform.impression_frame(count=20)
    frame["position"] = value
    assert set(reasons(pa.Table.from_pandas(frame, preserve_index=False))) == {
        "position_out_of_range" if value == 0.5 else "malformed_position"
    }


def test_duplicates_within_the_day_and_of_other_days(platform):
    frame = platform.impression_frame(count=20)
    frame.loc[7, "impression_id"] = frame.loc[2, "impression_id"]
    frame.loc[9, "impression_id"] = "old"
    frame.loc[10, ["impression_id", "surface"]] = ["twin", "billboard"]
    frame.loc[11, "impression_id"] = "twin"
    frame.loc[12, "impression_id"] = "new"
    found = reasons(pa.Table.from_pandas(frame, preserve_index=False), earlier=["old", "other"], later=["new"])
    assert {index: reason for index, reason in enumerate(found) if reason} == {
        7: "duplicate_impression",
        9: "duplicate_of_earlier_day",
        10: "unknown_surface",
        12: "duplicate_of_later_day",
    }


def test_what_is_no_fault_of_the_rows_is_not_charged():
    assert [check.reason for check in CHECKS if not check.charged] == ["item_in_quarantine", "duplicate_of_later_day"]
    assert len({check.reason for check in CHECKS}) == len(CHECKS)
