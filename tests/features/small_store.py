"""A small store of known content: item vectors, and impressions of users who like every other item."""

from datetime import date, datetime

import numpy as np
import pyarrow as pa

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.store import ObjectStore

DAY = date(2026, 3, 4)
WIDTH = 8
NUM_ITEMS = 24
NUM_USERS = 60


def item_vectors(seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    halves = rng.normal(size=(2, NUM_ITEMS, WIDTH // 2))
    return np.concatenate(list(halves / np.linalg.norm(halves, axis=2, keepdims=True)), axis=1).astype(np.float32)


def impressions(day: date, seed: int, num_rows: int = 900, cover_ids: tuple[str | None, ...] = (None,)) -> pa.Table:
    """Users like the items of their own half; rows in random order."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(NUM_USERS, size=num_rows), rng.integers(NUM_ITEMS, size=num_rows)
    clicked = rng.random(num_rows) < np.where(users % 2 == items % 2, 0.5, 0.1)
    return pa.table(
        {
            "impression_id": [f"{day}-{row}" for row in range(num_rows)],
            "user_id": [f"user{user:03d}" for user in users],
            "item_id": [f"item{item:03d}" for item in items],
            "shown_at": [datetime(day.year, day.month, day.day, 12) for _ in range(num_rows)],
            "surface": [("home", "search")[number] for number in rng.integers(2, size=num_rows)],
            "position": rng.integers(4, size=num_rows),
            "cover_id": [cover_ids[number] for number in rng.integers(len(cover_ids), size=num_rows)],
            "propensity": np.ones(num_rows),
            "clicked": clicked,
            "dwell_seconds": pa.nulls(num_rows, pa.float64()),
        }
    )


def write_items(store: ObjectStore, day: date, vectors: np.ndarray, encoder: str = "e1") -> None:
    ids = [f"item{number:03d}" for number in range(len(vectors))]
    features = {"item_id": ids, "content_hash": ids, "encoder": [encoder] * len(ids), "vector": list(vectors)}
    table = pa.table({**features, "vector": pa.array(features["vector"], schemas.VECTOR)})
    metadata = {"encoder": encoder, "width": int(vectors.shape[1])}
    write_partition(store, keys.ITEM_FEATURES, day, [table], schema=schemas.ITEM_FEATURES, metadata=metadata)
    rows = [dict.fromkeys(schemas.ITEMS.names) | {"item_id": item_id, "title": f"About {item_id}"} for item_id in ids]
    write_partition(store, keys.ITEMS, day, [pa.Table.from_pylist(rows, schema=schemas.ITEMS)], schema=schemas.ITEMS)


def write_impressions(store: ObjectStore, day: date, table: pa.Table) -> None:
    write_partition(store, keys.IMPRESSIONS, day, [table], schema=schemas.IMPRESSIONS)
