"""A small store with a planted taste: who likes which picture and which title is known, so learning it can be checked."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from icg_tasks.config import load_settings
from icg_tasks.contracts import schemas
from icg_tasks.contracts.partitions import COVER_FEATURES, IMPRESSIONS, ITEM_FEATURES, USER_DAYS
from icg_tasks.lake.folder import FolderStore
from icg_tasks.lake.partitions import write_partition
from icg_tasks.stage import StageContext

WIDTH = 8
LAST = date(2026, 3, 10)
ENCODER = "planted-encoder"
SURFACES = ("home", "search")


@dataclass(frozen=True)
class Planted:
    """The truth behind a planted store."""

    store: FolderStore
    user_ids: list[str]
    item_ids: list[str]
    covers: np.ndarray  # (items, 2 x WIDTH)
    tastes: np.ndarray  # (users, 2 x WIDTH)
    base: np.ndarray  # (2 x WIDTH,)
    days: list[date]


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def plant(
    root: Path, *, num_users=800, num_items=60, rows_per_day=6_000, num_days=5, image_taste=2.5, title_taste=2.0, seed=1
) -> Planted:
    """Write impressions, item vectors, cover vectors and partial sums of a few days ending with LAST."""
    rng = np.random.default_rng(seed)
    store = FolderStore(root)
    user_ids = [f"{number:032x}" for number in range(num_users)]
    item_ids = [f"item-{number:04d}" for number in range(num_items)]
    covers = np.concatenate([unit(rng.normal(size=(num_items, WIDTH))) for _ in range(2)], axis=1).astype(np.float32)
    kinds = rng.normal(size=(4, 2 * WIDTH)) * np.repeat([image_taste, title_taste], WIDTH)
    tastes = kinds[rng.integers(4, size=num_users)]
    base = rng.normal(size=2 * WIDTH) * np.repeat([0.5 if image_taste else 0.0, 0.5], WIDTH)
    days = [LAST - timedelta(days=back) for back in reversed(range(num_days))]
    made = {f"{number:064x}": unit(rng.normal(size=WIDTH)).astype(np.float32) for number in range(num_items)}
    schema, made_ids = schemas.ITEM_FEATURES, list(made)
    hashes = [f"hash-{name}" for name in item_ids]
    columns = {"item_id": item_ids, "content_hash": hashes, "encoder": [ENCODER] * num_items, "vector": covers.tolist()}
    metadata = {"encoder": ENCODER, "width": 2 * WIDTH}
    write_partition(store, ITEM_FEATURES, LAST, [pa.table(columns, schema=schema)], schema=schema, metadata=metadata)
    cover_columns = {"cover_id": made_ids, "item_id": item_ids, "vector": [made[name].tolist() for name in made_ids]}
    cover_table = pa.table(cover_columns, schema=schemas.COVER_FEATURES)
    write_partition(store, COVER_FEATURES, days[0], [cover_table], schema=schemas.COVER_FEATURES)
    for index, day in enumerate(days):
        user, item = rng.integers(num_users, size=rows_per_day), rng.integers(num_items, size=rows_per_day)
        surface, position = rng.integers(2, size=rows_per_day), rng.integers(5, size=rows_per_day)
        generated = (rng.random(rows_per_day) < 0.3) & (index > 0)
        shown = covers[item].copy()
        shown[generated, :WIDTH] = np.stack(list(made.values()))[item[generated]]
        logit = -1.2 + shown @ base + (shown * tastes[user]).sum(1) - 0.5 * position + 0.4 * surface
        clicked = rng.random(rows_per_day) < 1 / (1 + np.exp(-logit))
        impressions = pa.table(
            {
                "impression_id": [f"{day}-{number:06d}" for number in range(rows_per_day)],
                "user_id": [user_ids[number] for number in user],
                "item_id": [item_ids[number] for number in item],
                "shown_at": [f"{day}T12:00:00Z"] * rows_per_day,
                "surface": [SURFACES[number] for number in surface],
                "position": position,
                "cover_id": [made_ids[number] if new else None for number, new in zip(item, generated, strict=True)],
                "propensity": np.where(generated, 0.3, 0.7),
                "clicked": clicked,
                "dwell_seconds": np.where(clicked, 3.0, np.nan),
            }
        )
        shown_at = impressions["shown_at"].cast(pa.timestamp("ms", tz="UTC"))
        impressions = impressions.set_column(3, "shown_at", shown_at)
        write_partition(store, IMPRESSIONS, day, [impressions], schema=schemas.IMPRESSIONS)
        place = surface * 5 + position
        rate = (np.bincount(place, clicked) / np.bincount(place))[place]
        sums = np.zeros((num_users, 2 * WIDTH))
        np.add.at(sums, user, (clicked - rate)[:, None] * shown)
        sums_table = pa.table(
            {
                "user_id": user_ids,
                "vector_sum": sums.astype(np.float32).tolist(),
                "weight": np.bincount(user, rate * (1 - rate), num_users),
                "impressions": np.bincount(user, minlength=num_users),
                "clicks": np.bincount(user, clicked, num_users).astype(int),
            },
            schema=schemas.USER_DAYS,
        )
        write_partition(store, USER_DAYS, day, [sums_table], schema=schemas.USER_DAYS, metadata=metadata)
    return Planted(store, user_ids, item_ids, covers, tastes, base, days)


def context_for(planted: Planted, work: Path, *overrides: str, run_date: date = LAST) -> StageContext:
    """A stage context on a planted store."""
    given = [f"work_folder={work}", "preference.train_days=4", "preference.bootstrap_samples=60", *overrides]
    settings = load_settings("tiny", given)
    return StageContext(stage="train-preference", run_date=run_date, settings=settings, store=planted.store)
