"""pigeon: the data published with Pigeon (WWW 2025), stickers (SER-30K) or film posters (MovieLens), as raw data sets.

``--path`` is one scenario's folder: ``processed_seq`` with its .npy dictionaries (``pigeon_files``), and the images (``Images``
or ``poster``). What is real: users, items, titles, genres or emotions, and the order in which a user came to the items of one
genre. What is made here, and said in every partition's metadata (``provenance``):

- **Days.** Orders have no times: each sequence falls on sorted uniform draws over the window, in its order.
- **Non-clicks.** The data does not say what was seen and passed over. A user gets ``non_clicks_per_click`` items per click,
  drawn uniformly from those never chosen; so no click rate means anything, only who chose what.
- One surface ("home"), position 0, propensity 1, no cover_id (the item's own image), no dwell time.

The published windows of six (train, valid, test) are read and compared with the sequences: counted, not used. This project
splits by user and by time itself.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.schemas import RAW_ITEMS
from icg_tasks.intake.sources.laid_out import SEED, day_tables, file_sha256, generator_of, places, shown_rows, window
from icg_tasks.intake.sources.outside import Bench, OutsideData
from icg_tasks.intake.sources.pigeon_files import (
    PATHS,
    Sequences,
    read_image_paths,
    read_items,
    read_scenario,
    read_sequences,
    read_windows,
)

ATTRIBUTION = (
    "Users, items and orders: data published with Pigeon (Xu et al., WWW 2025; repository YiyanXu/Pigeon), made from SER-30K "
    "or MovieLens-latest-small; see their publishers for terms of use. Days and non-clicks made by this ingest."
)
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}


def read_pigeon(folder: Path, last_day: date, settings: Settings, _bench: Bench | None = None) -> OutsideData:
    """The window of ``features.window_days`` days ending with ``last_day``; raises DataMissing, DataCorrupt."""
    days = window(last_day, settings, "pigeon")
    data, limit = folder / "processed_seq", settings.intake.max_raw_file_bytes
    scenario = read_scenario(data)
    paths = read_image_paths(data / PATHS, limit)
    sequences = read_sequences(data / scenario.sequences, limit, len(paths))
    windows, strange = read_windows(data, limit, sequences)
    items = read_items(data, scenario, limit, sequences)
    rows = _impressions(sequences, sorted(items), len(days), settings.intake.non_clicks_per_click)
    counts = {
        "users": len({user for user, _ in sequences}),
        "items": len(items),
        "clicks": int(rows["clicked"].sum()),
        "non_clicks": int((1 - rows["clicked"]).sum()),
        "published_windows": windows,
        "published_windows_outside_sequences": strange,
    }
    names = [scenario.items, scenario.sequences, PATHS]
    return OutsideData(
        items=_items_table(items, paths, days[0]),
        days=days,
        parts=[lambda: day_tables(rows, days, "pigeon-*", lambda user: f"user-{user}", _item_id)],
        images=_images(folder / scenario.images, items, paths),
        provenance={
            "source": "pigeon",
            "scenario": scenario.name,
            "first_day": days[0].isoformat(),
            "last_day": days[-1].isoformat(),
            "files_sha256": {name: file_sha256(data / name) for name in names},
            "seed": SEED,
            "non_clicks_per_click": settings.intake.non_clicks_per_click,
            "counts": counts,
            "method": "clicks: items of the published sequences; days: each sequence's order on uniform draws; non-clicks: "
            "items never chosen, drawn uniformly per user, since nothing is known of what was seen",
            "attribution": ATTRIBUTION,
        },
        attribution=ATTRIBUTION,
        counts=counts,
    )


def _impressions(sequences: Sequences, items: list[int], num_days: int, ratio: int) -> pd.DataFrame:
    """Columns user, item, clicked, day (index), second (of the day)."""
    users: dict[int, list[list[int]]] = {}
    for (user, _), sequence in sequences.items():
        users.setdefault(user, []).append(sequence)
    return pd.concat([_user(user, lists, items, num_days, ratio) for user, lists in users.items()], ignore_index=True)


def _user(user: int, lists: list[list[int]], items: list[int], num_days: int, ratio: int) -> pd.DataFrame:
    """One user's clicks, each sequence in its order on sorted draws, each click with its share of non-clicks right after it."""
    rng = generator_of("pigeon", user)
    clicks = np.concatenate([np.array(sequence, dtype=np.int64) for sequence in lists])
    moments = np.concatenate([np.sort(rng.random(len(sequence))) for sequence in lists]) * num_days
    day, second = places(moments, num_days)
    passed = rng.permutation(np.setdiff1d(np.array(items, dtype=np.int64), clicks))[: ratio * len(clicks)]
    return shown_rows(user, clicks, passed, day, second, rng)


def _items_table(items: dict[int, tuple[str, str]], paths: list[str], first_day: date) -> pa.Table:
    return pa.table(
        {
            "item_id": [_item_id(item) for item in items],
            "title": [title for title, _ in items.values()],
            "reference_image": [_image_key(item, paths[item]) for item in items],
            "category": [category for _, category in items.values()],
            "language": ["en"] * len(items),
            "updated_at": [f"{first_day.isoformat()}T00:00:00.000Z"] * len(items),
        },
        schema=RAW_ITEMS,
    )


def _images(folder: Path, items: dict[int, tuple[str, str]], paths: list[str]) -> dict[str, Path]:
    """Images inside the folder; a path that leads out of it is not followed (validation refuses its item)."""
    root = folder.resolve()
    if not root.is_dir():
        raise DataMissing(f"no folder {folder}; the images belong beside processed_seq")
    found = {_image_key(item, paths[item]): (root / paths[item]).resolve() for item in items}
    return {key: path for key, path in found.items() if path.is_relative_to(root) and path.is_file()}


def _item_id(item: int) -> str:
    return f"pigeon-{item}"


def _image_key(item: int, path: str) -> str:
    """A key of our own: published names may hold any character."""
    suffix = Path(path).suffix.lower()
    return f"pigeon/{item}{suffix if suffix in _SUFFIXES else '.jpg'}"
