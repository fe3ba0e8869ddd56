"""How the covers to make are cut into batches and shards: a shard holds whole batches of one generator, all of like cost.

Who is drawn together hangs on the plan alone, never on the number of shards. Knows rows; no store.
"""

from collections.abc import Mapping
from typing import Any

from icg_tasks.covers.shards import batch_order

Row = dict[str, Any]


def assign_shards(rows: list[Row], *, shard_size: int, batch_covers: int, seconds: Mapping[str, float]) -> None:
    """Set ``shard`` of the rows, which keep nothing: about ``shard_size`` covers each, in batches of ``batch_covers``.

    All covers of a generator cost the same (candidates, steps and size are settings), so shards are even where their batches
    are. ``seconds`` are those of a cover by generator, the main one first: a dearer one's shards hold fewer covers, so that all
    take as long. Numbers go on from one generator to the next, in the order of their variants.

    >>> rows = [{"item_id": str(n), "segment_id": "_all", "variant": 0, "shard": None, "generator": "icg"} for n in range(5)]
    >>> rows += [row | {"variant": 1, "generator": "pigeon"} for row in rows[:4]]
    >>> assign_shards(rows, shard_size=3, batch_covers=2, seconds={"icg": 1.0, "pigeon": 1.0})
    >>> [row["shard"] for row in rows]
    [0, 0, 0, 0, 1, 2, 2, 2, 2]
    >>> assign_shards(rows, shard_size=3, batch_covers=2, seconds={"icg": 1.0, "pigeon": 1.5})
    >>> [row["shard"] for row in rows]
    [0, 0, 0, 0, 1, 2, 2, 3, 3]
    """
    first, main = 0, next(iter(seconds.values()), 1.0)
    for generator in dict.fromkeys(row["generator"] for row in sorted(rows, key=lambda row: int(row["variant"]))):
        new = sorted((row for row in rows if row["generator"] == generator), key=batch_order)
        batches = -(-len(new) // batch_covers)
        shards = min(batches, max(1, round(len(new) * seconds[generator] / (shard_size * main))))
        for number, row in enumerate(new):
            row["shard"] = first + (number // batch_covers) * shards // batches
        first += shards
