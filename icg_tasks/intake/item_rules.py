"""What a row of the raw catalogue must be. Pure functions of parsed columns; reads no store."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import reference_image_key
from icg_tasks.intake.columns import Bools, Column, Kind
from icg_tasks.intake.images import CheckedImage
from icg_tasks.intake.rules import Rule, presence_rules, unlike
from icg_tasks.intake.windows import day_end_ms

KINDS = {
    "item_id": Kind.TEXT,
    "title": Kind.TEXT,
    "reference_image": Kind.TEXT,
    "category": Kind.TEXT,
    "language": Kind.TEXT,
    "updated_at": Kind.TIME,
}
ITEM_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
LANGUAGE = r"^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$"
TITLE = r"^\P{Cc}*[^\p{Z}\p{C}]\P{Cc}*$"
CATEGORY = r"^[^\p{Z}\p{C}](\P{C}{0,62}[^\p{Z}\p{C}])?$"
MAX_NAME = 200  # characters of one part of a key: file systems refuse more than 255 bytes
IMAGE_ADVICE = "deliver the image again below raw/images/, then run this stage again; until then the item has no covers"


def item_rules(columns: Mapping[str, Column], day: date, settings: IntakeSettings) -> list[Rule]:
    """Every rule that needs no image bytes, in the order in which a row is judged."""
    return [*presence_rules(columns, KINDS, nullable=set()), *_text_rules(columns, settings), *_place_rules(columns, day)]


def _text_rules(columns: Mapping[str, Column], settings: IntakeSettings) -> list[Rule]:
    limit = settings.max_title_characters
    return [
        Rule(
            reason="item_id_pattern",
            column="item_id",
            bad=unlike(columns["item_id"], ITEM_ID),
            expected="up to 128 letters, digits and ._-",
            advice="give the item an id of letters, digits and ._-",
        ),
        Rule(
            reason="title_length",
            column="title",
            bad=unlike(columns["title"], TITLE) | _longer(columns["title"], limit),
            expected=f"1 to {limit} characters, some of them visible, no control characters",
            advice="send the item's title, without markup",
        ),
        Rule(
            reason="category_pattern",
            column="category",
            bad=unlike(columns["category"], CATEGORY),
            expected="1 to 64 printable characters without space around them",
            advice="send the category's name",
        ),
        Rule(
            reason="language_pattern",
            column="language",
            bad=unlike(columns["language"], LANGUAGE),
            expected="a language tag such as en or pt-BR",
            advice="send a BCP 47 language tag",
        ),
    ]


def _place_rules(columns: Mapping[str, Column], day: date) -> list[Rule]:
    return [
        Rule(
            reason="updated_in_the_future",
            column="updated_at",
            bad=columns["updated_at"].usable & (columns["updated_at"].values >= day_end_ms(day)),
            expected=f"a time no later than {day}",
            advice="check the clock and the time zone of the exporting system",
        ),
        Rule(
            reason="reference_image_unsafe",
            column="reference_image",
            bad=columns["reference_image"].usable & ~_safe(image_keys(columns["reference_image"])),
            expected="a key below raw/images/ of letters, digits and ._=+@- between single slashes",
            advice="send the image's key below raw/images/; a path, an address or .. is never followed",
        ),
    ]


def image_keys(column: Column) -> list[str | None]:
    """Whole store key of each row's reference image, None where there is none or it is unsafe."""
    return [_safe_key(value) for value in column.values.to_pylist()]


def duplicate_items(columns: Mapping[str, Column], candidates: Bools) -> Rule:
    """Of candidates with one id the row updated last stays (the first of equals)."""
    frame = pd.DataFrame(
        {"item_id": columns["item_id"].values.to_numpy(zero_copy_only=False), "updated_at": columns["updated_at"].values}
    )[candidates]
    kept = frame.sort_values("updated_at", ascending=False, kind="stable").drop_duplicates("item_id").index
    bad = candidates.copy()
    bad[kept.to_numpy()] = False
    return Rule(
        reason="duplicate_item_id",
        column="item_id",
        bad=bad,
        expected="one row per item in a snapshot",
        advice="nothing to do where the newer row is right; otherwise remove the wrong one at the source",
    )


def image_rules(keys: Sequence[str | None], checked: Mapping[str, CheckedImage]) -> list[Rule]:
    """One rule per fault found among the images, in a fixed order."""
    faults = {key: image for key, image in checked.items() if image.reason}
    return [
        Rule(
            reason=reason,
            column="reference_image",
            bad=np.array([key in faults and faults[key].reason == reason for key in keys], dtype=bool),
            expected="a whole still PNG, JPEG or WebP within the limits",
            advice=IMAGE_ADVICE,
        )
        for reason in sorted({image.reason for image in faults.values()})
    ]


def _longer(column: Column, limit: int) -> Bools:
    lengths = pc.utf8_length(column.values).fill_null(0).to_numpy(zero_copy_only=False)
    longer: Bools = column.usable & (lengths > limit)
    return longer


def _safe_key(value: str | None) -> str | None:
    if value is None or max(map(len, value.split("/"))) > MAX_NAME:
        return None
    try:
        return reference_image_key(value)
    except DataCorrupt:
        return None


def _safe(keys: list[str | None]) -> Bools:
    return np.array([key is not None for key in keys], dtype=bool)
