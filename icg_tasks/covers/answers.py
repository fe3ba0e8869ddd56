"""The cover answer as plain values (docs/schemas/cover_answer.schema.json): what to show, whose it is, and of which day.

Knows look-ups; nothing of where they come from.
"""

from datetime import date
from typing import Any, Protocol

from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.covers.index import Cover


class LookUp(Protocol):
    """Everything of one pointer, immutable: an index, or the Parquet files of before there were indexes."""

    day: date

    def segment(self, user: str) -> str | None:
        """The segment of a user (keyed hash), or None."""
        ...

    def cover(self, user: str, item_id: str, variant: int = 0) -> Cover | None:
        """The cover a user (keyed hash) sees, or None."""
        ...


def answer_from(look_up: LookUp | None, user: str, item_id: str, variant: int) -> dict[str, Any]:
    """What a user (keyed hash) sees for an item; raises DataCorrupt where the look-up is damaged there."""
    segment = look_up.segment(user) if look_up else None
    cover = look_up.cover(user, item_id, variant) if look_up else None
    said: dict[str, Any] = {"item": item_id, "variant": variant, "segment": segment, "source": _source(cover, segment)}
    said["day"] = look_up.day.isoformat() if look_up else None
    if cover is None:
        return said | {"cover": None}
    return said | {"cover": cover._asdict() | {"day": cover.day.isoformat(), "personalised": cover.personalised}}


def _source(cover: Cover | None, segment: str | None) -> str:
    """Which link of the chain an answer is from."""
    if cover is None:
        return "own"
    if cover.segment_id == EVERYONE:
        return "everybody"
    return "segment" if cover.segment_id == segment else "parent"
