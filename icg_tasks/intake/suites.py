"""Great Expectations suites: what the clean rows of a day must hold, seen as a whole.

The rows were sorted by rules first, so most expectations hold by construction and would catch a fault of the rules; volume and
click rate are judged here alone. Bounds come from settings and the trailing week; small numbers get the room that chance needs
(four standard errors). Imports Great Expectations (8 s): only what validates imports this module, inside a function.
"""

import os
from collections.abc import Sequence
from math import sqrt
from statistics import median
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")

from great_expectations import expectations as gxe

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.contracts.pseudonym import PSEUDONYM_DIGITS
from icg_tasks.contracts.schemas import IMPRESSIONS, ITEMS
from icg_tasks.intake.impression_rules import IMPRESSION_ID, MAX_DWELL_SECONDS, surface_names
from icg_tasks.intake.item_rules import ITEM_ID, LANGUAGE
from icg_tasks.intake.windows import PastDay

ITEM_KNOWN = "item_known"  # 1 where item_id is in the clean catalogue
DAYS_LATE = "days_late"  # whole days between shown_at and arrival
STANDARD_ERRORS = 4.0
_FAULT = "the row rules let something through: report it with this page"


def impression_suite(settings: IntakeSettings, past: Sequence[PastDay], rows: int) -> list[Any]:
    """Expectations of a day's clean impressions, with the helper columns ITEM_KNOWN and DAYS_LATE; ``rows`` it has."""
    needed = [name for name in IMPRESSIONS.names if name not in {"cover_id", "dwell_seconds"}]
    absolute = _share_bounds(settings.min_click_rate, settings.max_click_rate, rows)
    return [
        _critical(gxe.ExpectTableColumnsToMatchOrderedList, "schema", column_list=[*IMPRESSIONS.names, ITEM_KNOWN, DAYS_LATE]),
        *[_critical(gxe.ExpectColumnValuesToNotBeNull, "no nulls", column=name) for name in needed],
        _critical(gxe.ExpectColumnValuesToBeUnique, "uniqueness", column="impression_id"),
        _critical(gxe.ExpectColumnValuesToMatchRegex, "ids", column="impression_id", regex=IMPRESSION_ID),
        _critical(
            gxe.ExpectColumnValuesToMatchRegex,
            "only keyed hashes",
            column="user_id",
            regex=rf"^[0-9a-f]{{{PSEUDONYM_DIGITS}}}$",
        ),
        _critical(gxe.ExpectColumnValuesToBeInSet, "referential: item in the catalogue", column=ITEM_KNOWN, value_set=[1]),
        _between("arrival", DAYS_LATE, 0, settings.late_days),
        _critical(gxe.ExpectColumnValuesToBeInSet, "surfaces", column="surface", value_set=surface_names(settings)),
        _between("positions", "position", 0, settings.max_position),
        _between("propensity", "propensity", 0, 1, strict_min=True),
        _critical(gxe.ExpectColumnValuesToBeInSet, "clicks", column="clicked", value_set=[0, 1]),
        _between("dwell time", "dwell_seconds", 0, MAX_DWELL_SECONDS),
        _volume(settings, past),
        _critical(
            gxe.ExpectColumnMeanToBeBetween,
            "click rate",
            _ABSOLUTE_ADVICE,
            column="clicked",
            min_value=absolute[0],
            max_value=absolute[1],
        ),
        *_drift(settings, past, rows),
    ]


def item_suite(settings: IntakeSettings, past: Sequence[PastDay]) -> list[Any]:
    """Expectations of a day's clean catalogue."""
    return [
        _critical(gxe.ExpectTableColumnsToMatchOrderedList, "schema", column_list=ITEMS.names),
        *[_critical(gxe.ExpectColumnValuesToNotBeNull, "no nulls", column=name) for name in ITEMS.names],
        _critical(gxe.ExpectColumnValuesToBeUnique, "uniqueness", column="item_id"),
        _critical(gxe.ExpectColumnValuesToMatchRegex, "ids", column="item_id", regex=ITEM_ID),
        _critical(
            gxe.ExpectColumnValueLengthsToBeBetween,
            "titles",
            column="title",
            min_value=1,
            max_value=settings.max_title_characters,
        ),
        _critical(gxe.ExpectColumnValuesToMatchRegex, "languages", column="language", regex=LANGUAGE),
        _critical(gxe.ExpectColumnValueLengthsToBeBetween, "categories", column="category", min_value=1, max_value=64),
        _critical(gxe.ExpectColumnValuesToMatchRegex, "image keys", column="reference_image", regex=r"^raw/images/"),
        _critical(gxe.ExpectColumnValuesToMatchRegex, "image hashes", column="image_sha256", regex=r"^[0-9a-f]{64}$"),
        _critical(gxe.ExpectColumnValuesToMatchRegex, "content hashes", column="content_hash", regex=r"^[0-9a-f]{64}$"),
        _volume(settings, past),
    ]


_VOLUME_ADVICE = (
    "compare with what the platform sent (missing or doubled files); if the change is real, "
    "set intake.min_volume_ratio / intake.max_volume_ratio for this run"
)
_ABSOLUTE_ADVICE = "check the click logging; if it is right, set intake.min_click_rate / intake.max_click_rate"
_DRIFT_ADVICE = (
    "check the click logging (bots, a lost or doubled event); if the change is real, set intake.max_click_rate_shift"
)


def volume_bounds(settings: IntakeSettings, past: Sequence[PastDay]) -> tuple[int, int | None]:
    """Fewest and most rows of a day; (1, None) without a past.

    >>> volume_bounds(IntakeSettings(), [])
    (1, None)
    """
    if not past:
        return 1, None
    usual = float(median(entry.rows for entry in past))
    room = STANDARD_ERRORS * sqrt(usual)
    low = int(usual * settings.min_volume_ratio - room)
    return max(1, low), int(usual * settings.max_volume_ratio + room) + 1


def drift_bounds(shift: float, past: Sequence[PastDay], rows: int) -> tuple[float, float] | None:
    """Lowest and highest click rate ``shift`` (relative) away from the trailing week; None without a past or without rows."""
    seen = sum(entry.rows for entry in past)
    if not seen or not rows:
        return None
    usual = max(sum(entry.clicks for entry in past), 1) / seen
    room = STANDARD_ERRORS * sqrt(usual * max(1 - usual, 0) * (1 / seen + 1 / rows))
    low, high = usual * (1 - shift) - room, usual * (1 + shift) + room
    return max(low, 0.0), min(high, 1.0)


def _volume(settings: IntakeSettings, past: Sequence[PastDay]) -> Any:
    low, high = volume_bounds(settings, past)
    label = f"volume against the trailing week ({len(past)} days)"
    return _critical(gxe.ExpectTableRowCountToBeBetween, label, _VOLUME_ADVICE, min_value=low, max_value=high)


def _drift(settings: IntakeSettings, past: Sequence[PastDay], rows: int) -> list[Any]:
    """Refused beyond the allowed shift, a warning beyond half of it."""
    label = f"click rate drift against the trailing week ({len(past)} days)"
    expectations = []
    for severity, shift in (("critical", settings.max_click_rate_shift), ("warning", settings.max_click_rate_shift / 2)):
        bounds = drift_bounds(shift, past, rows)
        if bounds is not None:
            expectations.append(
                gxe.ExpectColumnMeanToBeBetween(
                    severity=severity,
                    notes=f"{label}, {severity}",
                    meta={"label": label, "advice": _DRIFT_ADVICE},
                    column="clicked",
                    min_value=bounds[0],
                    max_value=bounds[1],
                )
            )
    return expectations


def _share_bounds(low: float, high: float, rows: int) -> tuple[float, float]:
    """Bounds of a share, widened by what chance does to ``rows`` draws."""
    count = max(rows, 1)
    return (
        max(0.0, low - STANDARD_ERRORS * sqrt(low * (1 - low) / count)),
        min(1.0, high + STANDARD_ERRORS * sqrt(high * (1 - high) / count)),
    )


def _between(label: str, column: str, low: float, high: float, *, strict_min: bool = False) -> Any:
    return _critical(
        gxe.ExpectColumnValuesToBeBetween, label, column=column, min_value=low, max_value=high, strict_min=strict_min
    )


def _critical(kind: Any, label: str, advice: str = _FAULT, **bounds: Any) -> Any:
    return kind(severity="critical", notes=label, meta={"label": label, "advice": advice}, **bounds)
