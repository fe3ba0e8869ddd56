"""classics: readers x public-domain books x covers (goodbooks-10k and Standard Ebooks) as raw data sets.

What is real: readers, works, covers, which reader rated which work, and in which order. What is made here, and said in every
partition's metadata (``provenance``):

- **Clicks.** A rating of any value is a click (most values are unknown, so none is used).
- **Days.** The source has an order but no times. A reader's events fall on sorted uniform draws over the window, in the
  reader's order; so every day has about the same volume and nobody's order is broken. Rows whose place is unknown (order null)
  get a drawn place; they are counted.
- **Non-clicks.** An absent pair is a non-click only where it would have been seen: all works for a reader with history
  "complete", works with id ≤ N for "items<=N", and for everybody the works with ``rated_by_all_users_known``. From these a
  reader gets ``non_clicks_per_click`` per click, drawn uniformly without replacement (so popularity is not sampled twice),
  shown on the day of the click. A reader without such works gets none.
- A rating *outside* the observed works is left out and counted: its non-click could not have been seen, so it would make its
  work look better than it is.
- One surface ("home"), position 0, propensity 1 (no policy is known), no cover_id (the item's own cover), no dwell time.

The readers never saw these covers: looks carry no signal here by construction.
"""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.schemas import RAW_ITEMS
from icg_tasks.intake.parquet_bounded import read_parquet_bounded
from icg_tasks.intake.sources.laid_out import SEED, day_tables, file_sha256, generator_of, places, shown_rows, window
from icg_tasks.intake.sources.outside import Bench, OutsideData

ATTRIBUTION = (
    "Reader data and book metadata: goodbooks-10k, Zygmunt Zając, 2017, FastML; repository zygmuntz/goodbooks-10k, licensed "
    "CC BY-SA 4.0 (rows selected, partial copies merged, order index added; days and non-clicks made by this ingest). Derived "
    "tables must carry the same licence. Covers and metadata from Standard Ebooks, CC0 1.0."
)
NEEDED = {
    "items.parquet": ("item_id", "title", "genres", "language", "cover_path", "rated_by_all_users_known"),
    "interactions.parquet": ("user_id", "item_id", "order", "history"),
}
_UP_TO = re.compile(r"^items<=(\d+)$")
EVERYTHING = np.iinfo(np.int64).max


def read_classics(folder: Path, last_day: date, settings: Settings, _bench: Bench | None = None) -> OutsideData:
    """The window of ``features.window_days`` days ending with ``last_day``; raises DataMissing, DataCorrupt."""
    days = window(last_day, settings, "classics")
    works, events = (_table(folder, name, settings.intake.max_raw_file_bytes) for name in NEEDED)
    works = works.drop_duplicates("item_id").sort_values("item_id").reset_index(drop=True)
    events = events[events["item_id"].isin(works["item_id"])].drop_duplicates(["user_id", "item_id"])
    rows, left_out = _impressions(works, events, len(days), settings.intake.non_clicks_per_click)
    counts = {
        "readers": int(rows["user"].nunique()),
        "works": len(works),
        "clicks": int(rows["clicked"].sum()),
        "non_clicks": int((1 - rows["clicked"]).sum()),
        "clicks_outside_observed": left_out,
        "clicks_with_unknown_place": int(events["order"].isna().sum()),
    }
    return OutsideData(
        items=_items(works, days[0]),
        days=days,
        parts=[lambda: day_tables(rows, days, "classics-*", lambda user: f"reader-{user}", _item_id)],
        images=_images(folder, works),
        provenance=_provenance(folder, days, settings.intake.non_clicks_per_click, events, counts),
        attribution=ATTRIBUTION,
        counts=counts,
    )


def observed_up_to(history: str) -> int:
    """Largest work id whose absence for a reader with this history means "not rated"; 0 where only the shared works do.

    >>> observed_up_to("items<=2000"), observed_up_to("partial"), observed_up_to("complete") == EVERYTHING
    (2000, 0, True)
    """
    found = _UP_TO.match(history)
    if found:
        return int(found.group(1))
    return EVERYTHING if history == "complete" else 0


def _table(folder: Path, name: str, max_bytes: int) -> pd.DataFrame:
    path = folder / name
    if not path.is_file():
        raise DataMissing(f"no {name} in {folder}; --path must be the folder of the classics data (its README.md lies there)")
    table = read_parquet_bounded(path, max_bytes)
    absent = [column for column in NEEDED[name] if column not in table.column_names]
    if absent:
        raise DataCorrupt(f"{path} has no column {', '.join(absent)}; get the data again, its README.md lists the columns")
    frame = table.select(list(NEEDED[name])).to_pandas()
    for column in {"item_id", "user_id", "order"} & set(frame.columns):
        values = pd.to_numeric(frame[column], errors="coerce")
        if column != "order" and (values.isna().any() or (values != values.round()).any() or (values < 0).any()):
            raise DataCorrupt(f"{path}: column {column} holds values that are not whole numbers from 0; get the data again")
        frame[column] = values if column == "order" else values.astype(np.int64)
    return frame


def _impressions(works: pd.DataFrame, events: pd.DataFrame, num_days: int, ratio: int) -> tuple[pd.DataFrame, int]:
    """Columns user, item, clicked, day (index), second (of the day); and how many ratings were left out as unobserved."""
    ids = works["item_id"].to_numpy()
    shared = works["rated_by_all_users_known"].fillna(False).to_numpy(dtype=bool)
    parts = []
    left_out = 0
    for user, mine in events.groupby("user_id", sort=True):
        observed = shared | (ids <= observed_up_to(str(mine["history"].iloc[0])))
        kept = mine[np.isin(mine["item_id"], ids[observed])]
        left_out += len(mine) - len(kept)
        if len(kept):
            absent = np.setdiff1d(ids[observed], mine["item_id"])
            parts.append(_reader(int(user), kept, absent, num_days, ratio))
    if not parts:
        raise DataCorrupt("classics: no rating of any listed work could be used; get the data again")
    return pd.concat(parts, ignore_index=True), left_out


def _reader(user: int, events: pd.DataFrame, absent: Any, num_days: int, ratio: int) -> pd.DataFrame:
    """One reader's clicks in order on sorted draws, each with its share of non-clicks right after it."""
    rng = generator_of("classics", user)
    count = len(events)
    ranked = events.sort_values(["order", "item_id"], na_position="last")
    known = int(ranked["order"].notna().sum())
    place = np.concatenate([(np.arange(known) + 0.5) / max(known, 1), rng.random(count - known)])
    clicks = ranked["item_id"].to_numpy()[np.argsort(place, kind="stable")]
    day, second = places(np.sort(rng.random(count)) * num_days, num_days)
    return shown_rows(user, clicks, rng.permutation(absent)[: ratio * count], day, second, rng)


def _items(works: pd.DataFrame, first_day: date) -> pa.Table:
    """The catalogue; the category is the first genre that says more than "Fiction"."""
    genres = [[genre.strip() for genre in str(entry or "").split(";") if genre.strip()] for entry in works["genres"]]
    category = [next((genre for genre in entry if genre != "Fiction"), entry[0] if entry else "Unknown") for entry in genres]
    return pa.table(
        {
            "item_id": [_item_id(item) for item in works["item_id"]],
            "title": works["title"].astype(object).tolist(),
            "reference_image": [_image_key(path) for path in works["cover_path"]],
            "category": category,
            "language": works["language"].astype(object).tolist(),
            "updated_at": [f"{first_day.isoformat()}T00:00:00.000Z"] * len(works),
        },
        schema=RAW_ITEMS,
    )


def _images(folder: Path, works: pd.DataFrame) -> dict[str, Path]:
    """Covers inside the folder; a path that leads out of it is not followed (validation refuses its item)."""
    root = folder.resolve()
    found = {_image_key(path): (folder / str(path)).resolve() for path in works["cover_path"]}
    return {key: path for key, path in found.items() if path.is_relative_to(root) and path.is_file()}


def _provenance(folder: Path, days: list[date], ratio: int, events: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    readers = events.drop_duplicates("user_id")["history"].value_counts()
    return {
        "source": "classics",
        "first_day": days[0].isoformat(),
        "last_day": days[-1].isoformat(),
        "files_sha256": {name: file_sha256(folder / name) for name in NEEDED},
        "seed": SEED,
        "non_clicks_per_click": ratio,
        "readers_by_history": {str(history): int(count) for history, count in sorted(readers.items())},
        "counts": dict(counts),
        "method": "clicks: ratings of any value; days: each reader's order on uniform draws; non-clicks: observed absences "
        "only, drawn uniformly per reader; readers never saw these covers, so looks carry no signal by construction",
        "attribution": ATTRIBUTION,
    }


def _item_id(number: int) -> str:
    return f"book-{number}"


def _image_key(cover_path: Any) -> str:
    return f"classics/{cover_path}"
