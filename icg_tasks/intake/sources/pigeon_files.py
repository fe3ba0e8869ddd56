"""The files published with Pigeon (WWW 2025), read without unpickling and checked against each other.

Knows the published layout; nothing of this project's data sets. A user came to the items of one genre in an order.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.intake.npy_objects import read_npy

PATHS = "all_image_paths.npy"
_SPLITS = ("train.npy", "valid.npy", "test.npy")
WINDOW = 6


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One of the two published layouts."""

    name: str
    items: str  # file of item id → what is known of it
    sequences: str  # file of user → genre → item ids in order
    images: str  # folder
    semantics: str | None  # file of a description per item


SCENARIOS = (
    Scenario(
        name="stickers",
        items="mapped_anno_dict.npy",
        sequences="mapped_user_dict.npy",
        images="Images",
        semantics="sticker_semantics.npy",
    ),
    Scenario(name="posters", items="mapped_movies.npy", sequences="user_seq_dict.npy", images="poster", semantics=None),
)

Sequences = dict[tuple[int, str], list[int]]
"""Item ids in order, by user and genre."""


def read_scenario(data: Path) -> Scenario:
    """Which of the two a folder holds; raises DataMissing."""
    for scenario in SCENARIOS:
        if (data / scenario.items).is_file():
            return scenario
    raise DataMissing(
        f"neither {' nor '.join(scenario.items for scenario in SCENARIOS)} in {data}; --path must be the folder of one "
        "scenario, with processed_seq in it"
    )


def read_image_paths(path: Path, limit: int) -> list[str]:
    """By item id, relative to the images' folder; raises DataMissing or DataCorrupt."""
    found = read_npy(path, limit)
    paths = found.tolist() if isinstance(found, np.ndarray) else found
    if not isinstance(paths, list) or not all(isinstance(one, str) for one in paths):
        raise DataCorrupt(f"{path}: expected a list of image paths by item id; get the data again")
    return paths


def _by_genre(path: Path, limit: int) -> Iterator[tuple[int, str, list[Any]]]:
    """(user, genre, entries) of a dictionary of dictionaries of lists."""
    found = read_npy(path, limit)
    if not isinstance(found, dict) or not all(isinstance(genres, dict) for genres in found.values()):
        raise DataCorrupt(f"{path}: expected user → genre → list; get the data again")
    for user, genres in found.items():
        for genre, entries in genres.items():
            whole = entries.tolist() if isinstance(entries, np.ndarray) else entries
            if type(user) is not int or not isinstance(whole, list):
                raise DataCorrupt(f"{path}: expected a whole number and a list for user {user!r}, genre {genre!r}")
            yield user, str(genre), whole


def read_sequences(path: Path, limit: int, num_items: int) -> Sequences:
    """What every user came to; raises DataMissing, or DataCorrupt where an item has no image path."""
    found = {}
    for user, genre, items in _by_genre(path, limit):
        if not all(type(item) is int and 0 <= item < num_items for item in items):
            raise DataCorrupt(
                f"{path}: user {user}, genre {genre} has an item that is no whole number from 0 to {num_items - 1}, as "
                f"{PATHS} numbers them; the two files do not belong together"
            )
        if items:
            found[user, genre] = items
    if not found:
        raise DataCorrupt(f"{path}: no user came to any item; get the data again")
    return dict(sorted(found.items()))


def read_windows(data: Path, limit: int, sequences: Sequences) -> tuple[int, int]:
    """How many windows of six are published, and how many of them are no run of their sequence."""
    count = strange = 0
    for name in _SPLITS:
        if not (data / name).is_file():
            continue
        for user, genre, windows in _by_genre(data / name, limit):
            whole = sequences.get((user, genre), [])
            runs = {tuple(whole[at : at + WINDOW]) for at in range(len(whole) - WINDOW + 1)}
            for window in windows:
                items = window.tolist() if isinstance(window, np.ndarray) else window
                if not isinstance(items, (list, tuple)) or len(items) != WINDOW:
                    raise DataCorrupt(f"{data / name}: expected windows of {WINDOW} items, found {items!r:.80}")
                count += 1
                strange += tuple(items) not in runs
    return count, strange


def read_items(data: Path, scenario: Scenario, limit: int, sequences: Sequences) -> dict[int, tuple[str, str]]:
    """Title and category of every item that somebody came to."""
    known = read_npy(data / scenario.items, limit)
    if not isinstance(known, dict):
        raise DataCorrupt(f"{data / scenario.items}: expected a dictionary by item id; get the data again")
    told: Any = []
    if scenario.semantics is not None and (data / scenario.semantics).is_file():
        told = read_npy(data / scenario.semantics, limit)
    found = {}
    for item in sorted({item for items in sequences.values() for item in items}):
        entry = known.get(item)
        if not isinstance(entry, Mapping):
            raise DataCorrupt(f"{data / scenario.items}: item {item} of the sequences is not in it; get the data again")
        description = str(told[item]) if item < len(told) else ""
        category = str(entry.get("emo") or str(entry.get("genres") or "").split("|")[0] or "Unknown")
        title = str(entry.get("title") or entry.get("text") or description or category).strip() or category
        found[item] = (title, category)
    return found
