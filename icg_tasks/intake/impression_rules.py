"""What a row of the raw impressions must be: one table, in the order in which a row is judged. Reads no store."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.intake.columns import Bools, Kind
from icg_tasks.intake.rules import Check, Columns, DayFacts, is_in, outside, presence_checks, unlike
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
NULLABLE = frozenset({"cover_id", "dwell_seconds"})
IMPRESSION_ID = r"^[!-~]{1,128}$"
USER_ID = r"^(?s:.){0,255}\S(?s:.){0,255}$"
COVER_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
MAX_DWELL_SECONDS = 86_400.0
_TWICE = "nothing to do: the first delivery counts; where there are many, look for a job that sends twice"


@dataclass(frozen=True, kw_only=True)
class ImpressionFacts(DayFacts):
    """``items``: ids of the day's clean catalogue; ``held``: of its quarantine; ``earlier``: impression ids of the clean days
    from which late rows may come (and, when rows are let in again, of this day); ``later``: of the clean days to which rows
    of this one may have come late.
    """

    items: pa.ChunkedArray
    held: pa.Array
    earlier: pa.ChunkedArray
    later: pa.ChunkedArray


def surface_names(settings: IntakeSettings) -> list[str]:
    """The surfaces of ``intake.surfaces`` (comma-separated), in its order.

    >>> surface_names(IntakeSettings(surfaces="home, search"))
    ['home', 'search']
    """
    return [name.strip() for name in settings.surfaces.split(",") if name.strip()]


def _unknown_surface(columns: Columns, facts: DayFacts, _candidates: Bools) -> Bools:
    surface = columns["surface"]
    return surface.usable & ~is_in(surface, pa.array(surface_names(facts.settings), pa.string()))


def _in_the_future(columns: Columns, facts: DayFacts, _candidates: Bools) -> Bools:
    shown_at = columns["shown_at"]
    bad: Bools = shown_at.usable & (shown_at.values >= day_end_ms(facts.day))
    return bad


def _too_late(columns: Columns, facts: DayFacts, _candidates: Bools) -> Bools:
    shown_at = columns["shown_at"]
    bad: Bools = shown_at.usable & (shown_at.values < day_start_ms(facts.first))
    return bad


def _dwell_without_click(columns: Columns, _facts: DayFacts, _candidates: Bools) -> Bools:
    dwell = columns["dwell_seconds"]
    with np.errstate(invalid="ignore"):
        bad: Bools = dwell.usable & (dwell.values > 0) & (columns["clicked"].values == 0)
    return bad


def _item_in_quarantine(columns: Columns, facts: ImpressionFacts, _candidates: Bools) -> Bools:
    item_id = columns["item_id"]
    return is_in(item_id, facts.held) & ~is_in(item_id, facts.items)


def _unknown_item(columns: Columns, facts: ImpressionFacts, _candidates: Bools) -> Bools:
    item_id = columns["item_id"]
    return item_id.usable & ~is_in(item_id, facts.items)


def _of_an_earlier_day(columns: Columns, facts: ImpressionFacts, _candidates: Bools) -> Bools:
    return is_in(columns["impression_id"], facts.earlier)


def _of_a_later_day(columns: Columns, facts: ImpressionFacts, _candidates: Bools) -> Bools:
    return is_in(columns["impression_id"], facts.later)


def _repeated(columns: Columns, _facts: DayFacts, candidates: Bools) -> Bools:
    """Of candidates with one id the first stays: where codes are given in order of appearance, each new one is the largest."""
    encoded = columns["impression_id"].values.filter(pa.array(candidates)).dictionary_encode()
    repeated = np.zeros(len(candidates), dtype=bool)
    if len(encoded.dictionary) < len(encoded):
        codes = encoded.indices.to_numpy()
        largest = np.maximum.accumulate(codes)
        repeated[np.flatnonzero(candidates)[1:]] = codes[1:] <= largest[:-1]
    return repeated


CHECKS: tuple[Check[ImpressionFacts], ...] = (
    *presence_checks(KINDS, NULLABLE),
    Check(
        reason="impression_id_pattern",
        column="impression_id",
        refuses=unlike("impression_id", IMPRESSION_ID),
        expected="up to 128 printable ASCII characters without space",
        advice="give every impression an id of its own",
    ),
    Check(
        reason="user_id_pattern",
        column="user_id",
        refuses=unlike("user_id", USER_ID),
        expected="up to 256 characters, not blank",
        advice="send the user's id; leave out impressions of nobody",
    ),
    Check(
        reason="unknown_surface",
        column="surface",
        refuses=_unknown_surface,
        expected="one of {settings.surfaces}",
        advice="add a new surface to intake.surfaces and let the rows in (icg requeue), or mend the name at the source",
    ),
    Check(
        reason="cover_id_pattern",
        column="cover_id",
        refuses=unlike("cover_id", COVER_ID),
        expected="the id of a published cover, or null for the item's own",
        advice="log the cover_id of the covers manifest",
    ),
    Check(
        reason="shown_in_the_future",
        column="shown_at",
        refuses=_in_the_future,
        expected="a time no later than {day}",
        advice="check the clock and the time zone of the logging system",
    ),
    Check(
        reason="too_late",
        column="shown_at",
        refuses=_too_late,
        expected="a time from {first} on (intake.late_days={settings.late_days})",
        advice="rows this late no longer count; raise intake.late_days if they should",
    ),
    Check(
        reason="position_out_of_range",
        column="position",
        refuses=outside("position", 0, lambda facts: facts.settings.max_position, whole=True),
        expected="a whole number from 0 to {settings.max_position}",
        advice="count positions from 0; raise intake.max_position for longer shelves",
    ),
    Check(
        reason="propensity_out_of_range",
        column="propensity",
        refuses=outside("propensity", 0, 1, above_low=True),
        expected="a probability above 0 and at most 1",
        advice="log the probability with which the cover was chosen; 1 where there was no choice",
    ),
    Check(
        reason="clicked_out_of_range",
        column="clicked",
        refuses=outside("clicked", 0, 1, whole=True),
        expected="0 or 1",
        advice="send 1 for a click, 0 for none",
    ),
    Check(
        reason="dwell_out_of_range",
        column="dwell_seconds",
        refuses=outside("dwell_seconds", 0, MAX_DWELL_SECONDS),
        expected=f"seconds from 0 to {MAX_DWELL_SECONDS:.0f}, or null",
        advice="send the seconds spent after the click",
    ),
    Check(
        reason="dwell_without_click",
        column="dwell_seconds",
        refuses=_dwell_without_click,
        expected="null where clicked is 0",
        advice="find out whether the click or the dwell time is wrong at the source",
    ),
    Check(
        reason="item_in_quarantine",
        column="item_id",
        refuses=_item_in_quarantine,
        expected="an item that passed validation",
        advice="mend the item (see quarantine/items of this day), then let both in again (icg requeue, items first)",
        charged=False,
    ),
    Check(
        reason="unknown_item",
        column="item_id",
        refuses=_unknown_item,
        expected="an item of the day's catalogue",
        advice="deliver the item in the catalogue, then run both validations of this day again",
    ),
    Check(
        reason="duplicate_of_earlier_day",
        column="impression_id",
        refuses=_of_an_earlier_day,
        expected="an id that the preceding clean days do not have",
        advice=_TWICE,
    ),
    Check(
        reason="duplicate_of_later_day",
        column="impression_id",
        refuses=_of_a_later_day,
        expected="an id that the clean days after it do not have",
        advice="nothing to do: the row came again on a later day that was validated before this one, and counts there",
        charged=False,
    ),
    Check(
        reason="duplicate_impression",
        column="impression_id",
        refuses=_repeated,
        expected="one row per id",
        advice=_TWICE,
    ),
)
