"""How far what is shown has moved in the space of item vectors since the day before.

The distance between the two days' mean shown item, in units of the catalogue's own spread: 0 where nothing moved, 1 where the
means are as far apart as an item is from the catalogue's middle. Vectors are those of the newest features/items BEFORE the day
(the day's own are not made yet); items without one do not count. Knows item ids and vectors, no user.
"""

from datetime import date, timedelta
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.contracts.partitions import IMPRESSIONS, ITEM_FEATURES
from icg_tasks.intake.windows import TRAILING_DAYS
from icg_tasks.lake.partitions import find_partition, latest_partition_before, read_partition, read_partition_file
from icg_tasks.lake.store import ObjectStore

Floats = NDArray[np.float64]


def exposure_shift(store: ObjectStore, day: date, item_ids: pa.ChunkedArray) -> float | None:
    """The shift of ``day``, whose clean rows show ``item_ids``; None without a day before it or without vectors."""
    before = latest_partition_before(store, IMPRESSIONS, day)
    vectors = latest_partition_before(store, ITEM_FEATURES, day)
    if before is None or vectors is None or before < day - timedelta(days=TRAILING_DAYS):
        return None
    partition = find_partition(store, ITEM_FEATURES, vectors)
    shown = [_counts(item_ids), _counts(read_partition(store, IMPRESSIONS, before, ["item_id"]).column("item_id"))]
    sums: list[Any] = [0.0, 0.0]
    total: Any = 0.0
    weights, squares, items = [0.0, 0.0], 0.0, 0
    for file in partition.files if partition else []:
        table = read_partition_file(store, file, ["item_id", "vector"])
        vectors_NV = _matrix(table.column("vector"))
        for which, counts in enumerate(shown):
            weight_N = np.array([counts.get(name, 0) for name in table.column("item_id").to_pylist()], dtype=np.float64)
            sums[which] = sums[which] + weight_N @ vectors_NV
            weights[which] += float(weight_N.sum())
        total, items = total + vectors_NV.sum(axis=0), items + len(vectors_NV)
        squares += float((vectors_NV**2).sum())
    if not items or not all(weights):
        return None
    spread = squares / items - float((np.asarray(total / items) ** 2).sum())
    moved = np.linalg.norm(np.asarray(sums[0] / weights[0] - sums[1] / weights[1]))
    return float(moved / sqrt(spread)) if spread > 0 else None


def _counts(item_ids: pa.ChunkedArray) -> dict[str, int]:
    found = pc.value_counts(item_ids)
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _matrix(column: pa.ChunkedArray) -> Floats:
    whole = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.list_(pa.float32()))
    values: Floats = whole.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    return values.reshape(len(whole), -1) if len(whole) else values.reshape(0, 0)
