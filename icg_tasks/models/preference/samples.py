"""What the preference model learns from and is judged on: one row per impression, as arrays.

Reads clean/impressions of the window, the vectors of the covers that were shown, and user vectors as of the day BEFORE each
impression. Knows data sets; nothing of networks. Legend: R rows, V vector width, U (user, day) vectors, N covers, G users.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.config.settings import PreferenceSettings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.holdout import is_held_out_item, is_held_out_user
from icg_tasks.contracts.partitions import IMPRESSIONS
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.models.preference.history import vectors_before
from icg_tasks.models.preference.shown import ShownCovers, shown_covers
from icg_tasks.stage import StageContext

COLUMNS = ("impression_id", "user_id", "item_id", "surface", "position", "cover_id", "propensity", "clicked")
MAX_INVERSE_PROPENSITY = 10.0
VALIDATION_SHARE = 0.1

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
Slot = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Impressions as arrays; ``*_R`` columns index the shared tables. Row 0 of ``users_UV`` is the zero vector."""

    users_UV: Floats
    covers_NV: Floats
    item_ids: list[str]
    user_ids: list[str]
    user_R: Rows  # into users_UV
    cover_R: Rows  # into covers_NV
    item_R: Rows  # into item_ids
    group_R: Rows  # into user_ids
    slot_R: Rows
    clicked_R: Floats
    weight_R: Floats

    def __len__(self) -> int:
        return len(self.clicked_R)

    def where(self, mask_R: NDArray[np.bool_]) -> "Samples":
        """The rows of a mask; the tables are shared."""
        names = ("user_R", "cover_R", "item_R", "group_R", "slot_R", "clicked_R", "weight_R")
        return replace(self, **{name: getattr(self, name)[mask_R] for name in names})


@dataclass(frozen=True, kw_only=True)
class Split:
    """Who learns, who stops the learning early, who judges. Held-out users and items are in no training row."""

    train: Samples
    validation: Samples
    test: Samples  # held-out users, run date, items that training saw
    test_new_items: Samples  # held-out users, run date, held-out items
    slots: list[Slot]  # slot number - 1 = place in this list
    days: list[date]
    counts: dict[str, int]
    encoder: str


def read_split(context: StageContext) -> Split:
    """The window's impressions, split by user and time; raises DataMissing where there is nothing to learn from or judge on."""
    settings = context.settings.preference
    days = _window(context.store, context.run_date, settings.train_days)
    tables = [_read_day(context.store, day) for day in days]
    tables = _sampled(tables, settings)
    shown = shown_covers(context.store, context.run_date, dict(zip(days, tables, strict=True)))
    return _Rows(context, days, tables, shown).split()


def _window(store: ObjectStore, run_date: date, train_days: int) -> list[date]:
    days = [run_date - timedelta(days=back) for back in range(train_days, -1, -1)]
    found = [day for day in days if find_partition(store, IMPRESSIONS, day) is not None]
    if run_date not in found or len(found) < 2:
        there = ", ".join(day.isoformat() for day in found) or "none"
        raise DataMissing(
            f"the preference model needs {IMPRESSIONS} of {run_date} (to judge) and of a day within {train_days} days before "
            f"it (to learn); found: {there}; run validate-impressions for those days first"
        )
    return found


def _read_day(store: ObjectStore, day: date) -> pa.Table:
    table = read_partition(store, IMPRESSIONS, day, COLUMNS)
    return table.sort_by("impression_id")


def _sampled(tables: list[pa.Table], settings: PreferenceSettings) -> list[pa.Table]:
    """All rows, or where they are more than ``max_rows``, all rows of a stable share of users."""
    total = sum(table.num_rows for table in tables)
    if total <= settings.max_rows:
        return tables
    share = settings.max_rows / total
    kept = []
    for table in tables:
        users = table["user_id"].combine_chunks().dictionary_encode()
        chosen = np.array([user_share(name, "sample") < share for name in users.dictionary.to_pylist()], dtype=bool)
        kept.append(table.filter(pa.array(chosen[users.indices.to_numpy()])))
    return kept


def user_share(user_id: str, purpose: str) -> float:
    """A stable number in [0, 1) of a user, independent between purposes."""
    digest = hashlib.sha256(f"{purpose}/{user_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class _Rows:
    """The window's rows with every name replaced by a number."""

    def __init__(self, context: StageContext, days: list[date], tables: list[pa.Table], shown: ShownCovers) -> None:
        self.days, self.shown = days, shown
        self.day_R = np.repeat(np.arange(len(days)), [table.num_rows for table in tables])
        whole = pa.concat_tables(tables)
        self.group_R, self.user_ids = _numbered(whole["user_id"])
        self.item_R, self.item_ids = _numbered(whole["item_id"])
        self.cover_R = np.concatenate([shown.rows[day] for day in days])
        self.clicked_R = whole["clicked"].to_numpy().astype(np.float32)
        self.propensity_R = pc.fill_null(whole["propensity"], 1.0).to_numpy()
        self.place_R = list(zip(whole["surface"].to_pylist(), whole["position"].to_pylist(), strict=True))
        known = self.cover_R >= 0
        self.unknown = int((~known).sum())
        self.users_UV, self.user_R = vectors_before(
            context, days, self.day_R, self.group_R, self.user_ids, shown.width, shown.encoder
        )
        self.known_R = known

    def split(self) -> Split:
        """Masks by user and time; weights and slots from the training rows alone."""
        held_user = np.array([is_held_out_user(name) for name in self.user_ids], dtype=bool)[self.group_R]
        held_item = np.array([is_held_out_item(name) for name in self.item_ids], dtype=bool)[self.item_R]
        pause = np.array([user_share(name, "validation") < VALIDATION_SHARE for name in self.user_ids], dtype=bool)[
            self.group_R
        ]
        last = self.day_R == len(self.days) - 1
        learn = self.known_R & ~last & ~held_user & ~held_item
        judge = self.known_R & last & held_user
        slots, slot_R = _slots(self.place_R, learn)
        everything = Samples(
            users_UV=self.users_UV,
            covers_NV=self.shown.covers_NV,
            item_ids=self.item_ids,
            user_ids=self.user_ids,
            user_R=self.user_R,
            cover_R=self.cover_R,
            item_R=self.item_R,
            group_R=self.group_R,
            slot_R=slot_R,
            clicked_R=self.clicked_R,
            weight_R=inverse_propensity_weights(self.propensity_R, self.item_R),
        )
        parts = {
            "train": everything.where(learn & ~pause),
            "validation": everything.where(learn & pause),
            "test": everything.where(judge & ~held_item),
            "test_new_items": everything.where(judge & held_item),
        }
        for name in ("train", "validation", "test"):
            _require_clicks(name, parts[name], self.days)
        counts = {f"{name}_rows": len(part) for name, part in parts.items()}
        counts["rows_without_vector"] = self.unknown
        return Split(**parts, slots=slots, days=self.days, counts=counts, encoder=self.shown.encoder)


def _numbered(column: Any) -> tuple[Rows, list[str]]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _slots(places: list[Slot], learn_R: NDArray[np.bool_]) -> tuple[list[Slot], Rows]:
    slots = sorted({place for place, learns in zip(places, learn_R.tolist(), strict=True) if learns})
    number = {place: index + 1 for index, place in enumerate(slots)}
    return slots, np.array([number.get(place, 0) for place in places], dtype=np.int64)


def inverse_propensity_weights(propensity_R: NDArray[np.float64], item_R: Rows) -> Floats:
    """Weight of each row [R]: one over the probability of the shown cover, at most 10, mean one within each item.

    An item's covers then count as if each had been shown equally often, and no item counts for more than its rows.

    >>> inverse_propensity_weights(np.array([0.8, 0.8, 0.2, 1.0]), np.array([0, 0, 0, 1])).round(2).tolist()
    [0.5, 0.5, 2.0, 1.0]
    """
    inverse = 1.0 / np.maximum(propensity_R, 1.0 / MAX_INVERSE_PROPENSITY)
    rows = np.bincount(item_R)
    mean = np.bincount(item_R, inverse) / np.maximum(rows, 1)
    return np.asarray(inverse / mean[item_R], dtype=np.float32)


def _require_clicks(name: str, part: Samples, days: list[date]) -> None:
    clicks = int(part.clicked_R.sum())
    if not 0 < clicks < len(part):
        raise DataMissing(
            f"the preference model's {name} part ({days[0]} to {days[-1]}) has {len(part)} rows and {clicks} clicks; "
            "it needs rows with and without a click: give it more days or users"
        )
