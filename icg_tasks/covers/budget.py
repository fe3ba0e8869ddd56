"""What a day's covers will cost, and which are made where that is more than the budget: best expected clicks first.

Cost is worker time: seconds of one GPU (or of one process on a CPU) for each cover, models already loaded, as earlier runs of
the same store measured it, each generator for itself. Knows rows and closing lines; no model.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.contracts.stages import GENERATE_COVERS
from icg_tasks.covers.asked import covers_in_a_batch
from icg_tasks.covers.former import OVER_BUDGET, Former
from icg_tasks.covers.shards import pair_key
from icg_tasks.covers.split import assign_shards
from icg_tasks.covers.versions import main_generator
from icg_tasks.lake.partitions import latest_partition_before
from icg_tasks.stage import StageContext

_DAYS_BACK = 14

Row = dict[str, Any]
Expected = Mapping[tuple[str, str], float]


@dataclass(frozen=True, kw_only=True)
class Price:
    """Seconds of a worker per cover, and where that number is from."""

    seconds_per_cover: float
    source: str


Prices = Mapping[str, Price]
"""By generator."""
Estimate = dict[str, float | int | str]


def affordable(context: StageContext, rows: list[Row], former: Former, expected: Expected) -> tuple[list[Row], Estimate]:
    """All rows, shards assigned to those that are made, and what that will cost; beyond the budget the least seen are left."""
    covers, most = context.settings.covers, context.arguments.get("max_gpu_hours")
    budget = context.settings.generation.max_gpu_hours if most is None else float(most)
    kept = [row for row in rows if row["kept_cover_id"] is not None]
    new, left = [row for row in rows if row["kept_cover_id"] is None], list[Row]()
    prices = {name: price(context, name) for name in dict.fromkeys(row["generator"] for row in rows)}
    each = "; ".join(f"{name} {cost.seconds_per_cover:.3g} s each, {cost.source}" for name, cost in prices.items())
    context.say(f"{len(new)} covers would take {_hours(new, prices):.3g} worker hours ({each})")
    if budget > 0.0 and _hours(new, prices) > budget:
        new, left = within_budget(new, former, expected, prices, budget)
        bare = sum(row["kept_cover_id"] is None for row in left)
        context.say(
            f"over the budget of {budget:g} hours: {len(left)} covers are left out, {len(left) - bare} of them stay as they "
            f"were, {bare} have none and readers fall back"
        )
    batch = covers_in_a_batch(covers.batch_size, covers.candidates)
    seconds = {name: cost.seconds_per_cover for name, cost in prices.items()}
    assign_shards(new, shard_size=covers.shard_size, batch_covers=batch, seconds=seconds)
    return [*kept, *new, *left], _estimate(new, left, prices)


def _estimate(new: list[Row], left: list[Row], prices: Prices) -> Estimate:
    """Worker hours of all, and of the longest shard: how long it takes where every shard has a worker of its own."""
    shards: dict[int, list[Row]] = {}
    for row in new:
        shards.setdefault(row["shard"], []).append(row)
    hours, longest = _hours(new, prices), max((_hours(mine, prices) for mine in shards.values()), default=0.0)
    each = hours * 3600.0 / len(new) if new else next(iter(prices.values())).seconds_per_cover
    found: Estimate = {"covers": len(new), "worker_hours": round(hours, 6), "longest_shard_hours": round(longest, 6)}
    found |= {"seconds_per_cover": round(each, 4), "from": ", ".join(dict.fromkeys(cost.source for cost in prices.values()))}
    return found | {"left_out": len(left), "left_without": sum(row["kept_cover_id"] is None for row in left)}


def _hours(rows: Iterable[Row], prices: Prices) -> float:
    """Worker hours of these covers."""
    return sum(prices[row["generator"]].seconds_per_cover for row in rows) / 3600.0


def price(context: StageContext, generator: str) -> Price:
    """As the last earlier date with a measurement of this generator found it, scaled to today's candidates and steps; else as
    settings say."""
    day = context.run_date
    for _ in range(_DAYS_BACK):
        former = latest_partition_before(context.store, keys.COVER_PLANS, day)
        if former is None:
            break
        seconds = _measured(context, former, generator)
        if seconds is not None:
            return Price(seconds_per_cover=seconds, source=f"measured on {former}")
        day = former
    stated = context.settings.generation.seconds_per_cover
    if not stated > 0.0:
        raise SettingsError(f"generation.seconds_per_cover is {stated}; expected more than 0")
    return Price(seconds_per_cover=stated, source="generation.seconds_per_cover")


def _measured(context: StageContext, day: date, generator: str) -> float | None:
    """Mean of a date's shards, each weighing what it made; images of another size say nothing."""
    covers, made, seconds = context.settings.covers, 0, 0.0
    for key in context.store.list(keys.stage_run_key(GENERATE_COVERS, day).removesuffix(".json") + "-"):
        line = json.loads(context.store.get(key))
        figures, count = line["figures"], int(line["counts"]["made"])
        if not figures.get("seconds_per_cover") or figures["size_pixels"] != covers.size_pixels:
            continue
        if figures.get("generator", main_generator(context)) != generator:  # a former release did not say
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


def within_budget(
    rows: list[Row], former: Former, expected: Expected, prices: Prices, hours: float
) -> tuple[list[Row], list[Row]]:
    """Rows to make, best expected clicks first, as many as these worker hours pay for; and the others as they stay.

    What is left out keeps its old cover where there is one (``kept_cover_id`` and the request that it answers), else it has
    none and the reader falls back.
    """
    ranked = sorted(rows, key=lambda row: (-expected.get((row["segment_id"], row["item_id"]), 0.0), pair_key(row)))
    spent = accumulate(prices[row["generator"]].seconds_per_cover for row in ranked)
    count = sum(seconds <= hours * 3600.0 for seconds in spent)
    return ranked[:count], [_left(row, former.rows.get(pair_key(row))) for row in ranked[count:]]


def _left(row: Row, old: Row | None) -> Row:
    left = row | {"reason": OVER_BUDGET}
    if old is None or not old["there"]:
        return left
    return left | {"kept_cover_id": old["cover_id"], "request_hash": old["request_hash"], "seed": old["seed"]}
