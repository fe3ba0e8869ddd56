"""What a row of the raw impressions must be. Pure functions of parsed columns; reads no store."""

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.intake.columns import Bools, Column, Kind
from icg_tasks.intake.rules import Rule, outside, presence_rules, unlike
from icg_tasks.intake.windows import day_end_ms, day_start_ms

KINDS = {
    "impression_id": Kind.TEXT,
    "user_id": Kind.TEXT,
    "item_id": Kind.TEXT,
    "shown_at": Kind.TIME,
    "surface": Kind.TEXT,
    "position": Kind.NUMBER,
    "cover_id": Kind.TEXT,
    "propensity": Kind.NUMBER,
    "clicked": Kind.NUMBER,
    "dwell_seconds": Kind.NUMBER,
}
NULLABLE = {"cover_id", "dwell_seconds"}
IMPRESSION_ID = r"^[!-~]{1,128}$"
USER_ID = r"^(?s:.){0,255}\S(?s:.){0,255}$"
COVER_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
MAX_DWELL_SECONDS = 86_400.0


def impression_rules(columns: Mapping[str, Column], day: date, settings: IntakeSettings) -> list[Rule]:
    """Every rule that needs nothing but the row, in the order in which a row is judged."""
    return [*presence_rules(columns, KINDS, NULLABLE), *_text_rules(columns, settings), *_time_rules(columns, day, settings),
            *_number_rules(columns, settings)]  # fmt: skip


def item_known_rules(columns: Mapping[str, Column], items: pa.Array, quarantined: pa.Array) -> list[Rule]:
    """Rows of items that the clean catalogue lacks; those of an item in quarantine are not charged to this data set."""
    item_id = columns["item_id"]
    known = _is_in(item_id, items)
    held = _is_in(item_id, quarantined) & ~known
    return [
        Rule(
            reason="item_in_quarantine",
            column="item_id",
            bad=held & item_id.usable,
            expected="an item that passed validation",
            advice="mend the item (see quarantine/items of this day), then run both validations of this day again",
            charged=False,
        ),
        Rule(
            reason="unknown_item",
            column="item_id",
            bad=~known & ~held & item_id.usable,
            expected="an item of the day's catalogue",
            advice="deliver the item in the catalogue, then run both validations of this day again",
        ),
    ]


def duplicate_rules(columns: Mapping[str, Column], candidates: Bools, earlier: pa.ChunkedArray) -> list[Rule]:
    """Candidates whose id the day has already (the first stays) or an earlier clean day has."""
    impression_id = columns["impression_id"]
    known = _is_in(impression_id, earlier) & candidates
    codes = pd.Series(impression_id.values.to_numpy(zero_copy_only=False))[candidates & ~known]
    repeated = np.zeros(len(candidates), dtype=bool)
    repeated[codes.index[codes.duplicated()].to_numpy()] = True
    advice = "nothing to do: the first delivery counts; where there are many, look for a job that sends twice"
    return [
        Rule(
            reason="duplicate_of_earlier_day",
            column="impression_id",
            bad=known,
            expected="an id that the preceding clean days do not have",
            advice=advice,
        ),
        Rule(reason="duplicate_impression", column="impression_id", bad=repeated, expected="one row per id", advice=advice),
    ]


def _text_rules(columns: Mapping[str, Column], settings: IntakeSettings) -> list[Rule]:
    surfaces = surface_names(settings)
    surface = columns["surface"]
    return [
        Rule(
            reason="impression_id_pattern",
            column="impression_id",
            bad=unlike(columns["impression_id"], IMPRESSION_ID),
            expected="up to 128 printable ASCII characters without space",
            advice="give every impression an id of its own",
        ),
        Rule(
            reason="user_id_pattern",
            column="user_id",
            bad=unlike(columns["user_id"], USER_ID),
            expected="up to 256 characters, not blank",
            advice="send the user's id; leave out impressions of nobody",
        ),
        Rule(
            reason="unknown_surface",
            column="surface",
            bad=surface.usable & ~_is_in(surface, pa.array(surfaces)),
            expected=f"one of {', '.join(surfaces)}",
            advice="add a new surface to intake.surfaces, or mend the name at the source",
        ),
        Rule(
            reason="cover_id_pattern",
            column="cover_id",
            bad=unlike(columns["cover_id"], COVER_ID),
            expected="the id of a published cover, or null for the item's own",
            advice="log the cover_id of the covers manifest",
        ),
    ]


def _time_rules(columns: Mapping[str, Column], day: date, settings: IntakeSettings) -> list[Rule]:
    shown_at = columns["shown_at"]
    first = day - timedelta(days=settings.late_days)
    return [
        Rule(
            reason="shown_in_the_future",
            column="shown_at",
            bad=shown_at.usable & (shown_at.values >= day_end_ms(day)),
            expected=f"a time no later than {day}",
            advice="check the clock and the time zone of the logging system",
        ),
        Rule(
            reason="too_late",
            column="shown_at",
            bad=shown_at.usable & (shown_at.values < day_start_ms(first)),
            expected=f"a time from {first} on (intake.late_days={settings.late_days})",
            advice="rows this late no longer count; raise intake.late_days if they should",
        ),
    ]


def _number_rules(columns: Mapping[str, Column], settings: IntakeSettings) -> list[Rule]:
    return [
        Rule(
            reason="position_out_of_range",
            column="position",
            bad=outside(columns["position"], 0, settings.max_position, whole=True),
            expected=f"a whole number from 0 to {settings.max_position}",
            advice="count positions from 0; raise intake.max_position for longer shelves",
        ),
        Rule(
            reason="propensity_out_of_range",
            column="propensity",
            bad=outside(columns["propensity"], 0, 1, above_low=True),
            expected="a probability above 0 and at most 1",
            advice="log the probability with which the cover was chosen; 1 where there was no choice",
        ),
        Rule(
            reason="clicked_out_of_range",
            column="clicked",
            bad=outside(columns["clicked"], 0, 1, whole=True),
            expected="0 or 1",
            advice="send 1 for a click, 0 for none",
        ),
        *_dwell_rules(columns["dwell_seconds"], columns["clicked"]),
    ]


def _dwell_rules(dwell: Column, clicked: Column) -> list[Rule]:
    with np.errstate(invalid="ignore"):
        alone = dwell.usable & (dwell.values > 0) & (clicked.values == 0)
    return [
        Rule(
            reason="dwell_out_of_range",
            column="dwell_seconds",
            bad=outside(dwell, 0, MAX_DWELL_SECONDS),
            expected=f"seconds from 0 to {MAX_DWELL_SECONDS:.0f}, or null",
            advice="send the seconds spent after the click",
        ),
        Rule(
            reason="dwell_without_click",
            column="dwell_seconds",
            bad=alone,
            expected="null where clicked is 0",
            advice="find out whether the click or the dwell time is wrong at the source",
        ),
    ]


def surface_names(settings: IntakeSettings) -> list[str]:
    """The surfaces of ``intake.surfaces`` (comma-separated), in its order.

    >>> surface_names(IntakeSettings(surfaces="home, search"))
    ['home', 'search']
    """
    return [name.strip() for name in settings.surfaces.split(",") if name.strip()]


def _is_in(column: Column, values: pa.Array | pa.ChunkedArray) -> Bools:
    found: Bools = pc.is_in(column.values, value_set=values.cast(pa.string())).to_numpy(zero_copy_only=False)
    return found & column.usable
