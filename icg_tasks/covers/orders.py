"""From planned rows to requests: what the item of each row looks like today, and whose taste it is drawn for.

Knows rows and the store; no model. An item that cannot be read becomes a request that says why.
"""

import hashlib
from typing import Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.covers.asked import CoverRequest
from icg_tasks.covers.requests import Vector, rounded
from icg_tasks.lake.partitions import read_partition
from icg_tasks.stage import StageContext

Row = dict[str, Any]


class Orders:
    """The day's items and segment vectors, read once; an item's own cover is fetched when its first row comes."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._items: dict[str, Row] = {
            row["item_id"]: row for row in read_partition(context.store, keys.ITEMS, context.run_date).to_pylist()
        }
        segments = read_partition(context.store, keys.COVER_PLAN_SEGMENTS, context.run_date).to_pylist()
        self._vectors: dict[str, Vector] = {row["segment_id"]: rounded(row["vector"]) for row in segments}
        self._last: tuple[str, bytes, str | None] = ("", b"", None)

    def title(self, item_id: str) -> str:
        """The item's title; empty where it is not in the catalogue."""
        return str(self._items[item_id]["title"]) if item_id in self._items else ""

    def requests(self, rows: list[Row]) -> list[CoverRequest]:
        """One for each row, in their order."""
        return [self._request(row) for row in rows]

    def _request(self, row: Row) -> CoverRequest:
        image_bytes, unreadable = self._own_cover(str(row["item_id"]))
        settings = self._context.settings.covers
        return CoverRequest(
            item_id=row["item_id"],
            title=self.title(row["item_id"]),
            image_bytes=image_bytes,
            user_vector=None if row["segment_id"] == EVERYONE else self._vectors[row["segment_id"]],
            seed=row["seed"],
            candidates=settings.candidates,
            scale=settings.personalisation,
            unreadable=unreadable,
        )

    def _own_cover(self, item_id: str) -> tuple[bytes, str | None]:
        """Its bytes, or why there are none; rows of an item follow each other, so the last answer is kept."""
        if self._last[0] != item_id:
            try:
                self._last = (item_id, self._fetch(item_id), None)
            except (DataCorrupt, DataMissing) as error:
                self._last = (item_id, b"", str(error))
        return self._last[1], self._last[2]

    def _fetch(self, item_id: str) -> bytes:
        store, day = self._context.store, self._context.run_date
        item = self._items.get(item_id)
        if item is None:
            raise DataMissing(f"it is planned but not in {keys.ITEMS} of {day}; run icg plan-covers again")
        key = keys.checked_key(item["reference_image"])
        size, most = store.size(key), self._context.settings.intake.max_image_bytes
        if size > most:
            raise DataCorrupt(f"own cover of {size} bytes, at most {most} are read")
        image_bytes = store.get(key)
        if hashlib.sha256(image_bytes).hexdigest() != item["image_sha256"]:
            raise DataCorrupt(f"{key} has changed since validation; run icg validate-items again")
        return image_bytes
