"""What a row of the raw catalogue must be: one table, in the order in which a row is judged. Reads no store itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import reference_image_key
from icg_tasks.intake.columns import Bools, Column, Kind
from icg_tasks.intake.images import FAULTS, CheckedImage
from icg_tasks.intake.rules import Check, Columns, DayFacts, Refuses, presence_checks, unlike
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
_IMAGE_ADVICE = "deliver the image again below raw/images/, then run this stage again; until then the item has no covers"


@dataclass(frozen=True, kw_only=True)
class ItemFacts(DayFacts):
    """``keys``: whole store key of each row's image, None where there is none or it is unsafe; ``check_images`` looks at images
    (each once); ``taken``: ids that are clean already, when rows are let in again.
    """

    keys: Sequence[str | None]
    check_images: Callable[[Sequence[str]], Mapping[str, CheckedImage]]
    taken: frozenset[str] = frozenset()


def image_keys(column: Column) -> list[str | None]:
    """Whole store key of each row's reference image, None where there is none or it is unsafe."""
    return [_safe_key(value) for value in column.values.to_pylist()]


def _safe_key(value: str | None) -> str | None:
    if value is None or max(map(len, value.split("/"))) > MAX_NAME:
        return None
    try:
        return reference_image_key(value)
    except DataCorrupt:
        return None


def _title_length(columns: Columns, facts: DayFacts, candidates: Bools) -> Bools:
    title = columns["title"]
    lengths = pc.utf8_length(title.values).fill_null(0).to_numpy(zero_copy_only=False)
    bad: Bools = unlike("title", TITLE)(columns, facts, candidates) | (
        title.usable & (lengths > facts.settings.max_title_characters)
    )
    return bad


def _in_the_future(columns: Columns, facts: DayFacts, _candidates: Bools) -> Bools:
    updated_at = columns["updated_at"]
    bad: Bools = updated_at.usable & (updated_at.values >= day_end_ms(facts.day))
    return bad


def _unsafe_image(columns: Columns, facts: ItemFacts, _candidates: Bools) -> Bools:
    unsafe = np.array([key is None for key in facts.keys], dtype=bool)
    bad: Bools = columns["reference_image"].usable & unsafe
    return bad


def _repeated(columns: Columns, facts: ItemFacts, candidates: Bools) -> Bools:
    """Of candidates with one id the row updated last stays (the first of equals); none of an id that is taken."""
    frame = pd.DataFrame(
        {"item_id": columns["item_id"].values.to_numpy(zero_copy_only=False), "updated_at": columns["updated_at"].values}
    )[candidates]
    frame = frame[~frame["item_id"].isin(facts.taken)] if facts.taken else frame
    kept = frame.sort_values("updated_at", ascending=False, kind="stable").drop_duplicates("item_id").index
    bad = candidates.copy()
    bad[kept.to_numpy()] = False
    return bad


def _image_fault(reason: str) -> Refuses[ItemFacts]:
    def refuses(_columns: Columns, facts: ItemFacts, candidates: Bools) -> Bools:
        asked = [key if asks else None for key, asks in zip(facts.keys, candidates, strict=True)]
        checked = facts.check_images([key for key in asked if key is not None])
        return np.array([key is not None and checked[key].reason == reason for key in asked], dtype=bool)

    return refuses


CHECKS: tuple[Check[ItemFacts], ...] = (
    *presence_checks(KINDS),
    Check(
        reason="item_id_pattern",
        column="item_id",
        refuses=unlike("item_id", ITEM_ID),
        expected="up to 128 letters, digits and ._-",
        advice="give the item an id of letters, digits and ._-",
    ),
    Check(
        reason="title_length",
        column="title",
        refuses=_title_length,
        expected="1 to {settings.max_title_characters} characters, some of them visible, no control characters",
        advice="send the item's title, without markup",
    ),
    Check(
        reason="category_pattern",
        column="category",
        refuses=unlike("category", CATEGORY),
        expected="1 to 64 printable characters without space around them",
        advice="send the category's name",
    ),
    Check(
        reason="language_pattern",
        column="language",
        refuses=unlike("language", LANGUAGE),
        expected="a language tag such as en or pt-BR",
        advice="send a BCP 47 language tag",
    ),
    Check(
        reason="updated_in_the_future",
        column="updated_at",
        refuses=_in_the_future,
        expected="a time no later than {day}",
        advice="check the clock and the time zone of the exporting system",
    ),
    Check(
        reason="reference_image_unsafe",
        column="reference_image",
        refuses=_unsafe_image,
        expected="a key below raw/images/ of letters, digits and ._=+@- between single slashes",
        advice="send the image's key below raw/images/; a path, an address or .. is never followed",
    ),
    Check(
        reason="duplicate_item_id",
        column="item_id",
        refuses=_repeated,
        expected="one row per item in a snapshot",
        advice="nothing to do where the newer row is right; otherwise remove the wrong one at the source",
    ),
    *[
        Check(
            reason=reason,
            column="reference_image",
            refuses=_image_fault(reason),
            expected="a whole still PNG, JPEG or WebP within the limits",
            advice=_IMAGE_ADVICE,
        )
        for reason in FAULTS
    ],
)
