"""What a day's covers will cost, and which are made where that is more than the budget: best expected clicks first.

Cost is worker time: seconds of one GPU (or of one process on a CPU) for each cover, models already loaded, as earlier runs of
the same store measured it. Knows rows and closing lines; no model.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from icg_tasks.config.settings import CoverSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.contracts.stages import GENERATE_COVERS
from icg_tasks.covers.former import OVER_BUDGET, Former
from icg_tasks.covers.shards import pair_key
from icg_tasks.lake.partitions import latest_partition_before
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

_DAYS_BACK = 14

Row = dict[str, Any]
Expected = Mapping[tuple[str, str], float]


@dataclass(frozen=True, kw_only=True)
class Price:
    """Seconds of a worker per cover, and where that number is from."""

    seconds_per_cover: float
    source: str

    def hours(self, covers: int) -> float:
        """Worker hours of so many covers."""
        return covers * self.seconds_per_cover / 3600.0


def price(context: StageContext) -> Price:
    """As the last earlier date with a measurement found it, scaled to today's candidates and steps; else as settings say."""
    covers, day = context.settings.covers, context.run_date
    for _ in range(_DAYS_BACK):
        former = latest_partition_before(context.store, keys.COVER_PLANS, day)
        if former is None:
            break
        seconds = _measured(context.store, former, covers)
        if seconds is not None:
            return Price(seconds_per_cover=seconds, source=f"measured on {former}")
        day = former
    stated = context.settings.generation.seconds_per_cover
    if not stated > 0.0:
        raise SettingsError(f"generation.seconds_per_cover is {stated}; expected more than 0")
    return Price(seconds_per_cover=stated, source="generation.seconds_per_cover")


def _measured(store: ObjectStore, day: date, covers: CoverSettings) -> float | None:
    """Mean of a date's shards, each weighing what it made; images of another size say nothing."""
    made, seconds = 0, 0.0
    for key in store.list(keys.stage_run_key(GENERATE_COVERS, day).removesuffix(".json") + "-"):
        line = json.loads(store.get(key))
        figures, count = line["figures"], int(line["counts"]["made"])
        if not figures.get("seconds_per_cover") or figures["size_pixels"] != covers.size_pixels:
            continue
        scale = covers.candidates * covers.steps / (figures["candidates"] * figures["steps"])
        made, seconds = made + count, seconds + count * figures["seconds_per_cover"] * scale
    return seconds / made if made else None


def expected_impressions(segments: Iterable[Row]) -> dict[tuple[str, str], float]:
    """How often each (segment, item) is expected to be shown in a day; clicks follow in proportion.

    A segment's traffic is shared among its top items by 1 / place (they are listed by expected traffic, without numbers). The
    unpersonalised cover of an item is what everybody sees whose own is not there, so it counts for all of them.

    >>> found = expected_impressions([{"segment_id": "s", "expected_traffic": 30.0, "top_items": ["a", "b"]}])
    >>> found["s", "a"], found["s", "b"], found["_all", "b"]
    (20.0, 10.0, 10.0)
    """
    found: dict[tuple[str, str], float] = {}
    for row in segments:
        items = list(dict.fromkeys(row["top_items"]))
        whole = sum(1.0 / place for place in range(1, len(items) + 1))
        for place, item in enumerate(items, start=1):
            share = float(row["expected_traffic"]) / place / whole
            found[row["segment_id"], item] = share
            found[EVERYONE, item] = found.get((EVERYONE, item), 0.0) + share
    return found


def within_budget(rows: list[Row], former: Former, expected: Expected, affordable: int) -> tuple[list[Row], list[Row]]:
    """Rows to make, best expected clicks first, at most ``affordable``; and the others as they stay.

    What is left out keeps its old cover where there is one (``kept_cover_id`` and the request that it answers), else it has
    none and the reader falls back.
    """
    ranked = sorted(rows, key=lambda row: (-expected.get((row["segment_id"], row["item_id"]), 0.0), pair_key(row)))
    return ranked[:affordable], [_left(row, former.rows.get(pair_key(row))) for row in ranked[affordable:]]


def _left(row: Row, old: Row | None) -> Row:
    left = row | {"reason": OVER_BUDGET}
    if old is None or not old["there"]:
        return left
    return left | {"kept_cover_id": old["cover_id"], "request_hash": old["request_hash"], "seed": old["seed"]}
