"""Covers of different items that can hardly be told apart: whoever taps one of them expects the other.

Candidates are found by bands of 64-bit fingerprints, so the cost grows with the covers, not with their pairs. Knows
fingerprints and rows; no image and no store.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from icg_tasks.covers.checks import Fingerprint

_BANDS = 4
_BAND_BITS = 64 // _BANDS
MAX_BITS = _BANDS - 1
"""Fingerprints at most so many bits apart share one of the bands for certain."""
_MAX_CROWD = 200

Row = dict[str, Any]


def near_duplicates(rows: Iterable[Row], seen: Mapping[str, Fingerprint], max_levels: float) -> dict[str, str]:
    """Cover id to the cover id of *another item* that it repeats; of a group the first by (made_on, item, cover) stays.

    ``max_levels``: mean difference of the small copies, in levels of 255, up to which two covers are one. A cover that
    several items have in common belongs to the first of them.
    """
    item_of: dict[str, str] = {}
    order: list[str] = []
    for row in sorted(rows, key=lambda row: (row["made_on"], row["item_id"], row["cover_id"])):
        if row["cover_id"] not in item_of:
            item_of[row["cover_id"]] = row["item_id"]
            order.append(row["cover_id"])
    place = {name: number for number, name in enumerate(order)}
    found: dict[str, str] = {}
    for first, second in sorted(_candidates(order, seen), key=lambda pair: (place[pair[0]], place[pair[1]])):
        both_stand = item_of[first] != item_of[second] and first not in found and second not in found
        if both_stand and difference(seen[first], seen[second]) <= max_levels:
            found[second] = first
    return found


def difference(one: Fingerprint, other: Fingerprint) -> float:
    """Mean difference of two images' small copies, in levels of 255."""
    first, second = (np.frombuffer(each.small, dtype=np.uint8).astype(np.int16) for each in (one, other))
    return float(np.abs(first - second).mean())


def _candidates(order: list[str], seen: Mapping[str, Fingerprint]) -> set[tuple[str, str]]:
    """Pairs that share a band and are at most MAX_BITS apart, each in order. A crowd is compared with its first members."""
    pairs: set[tuple[str, str]] = set()
    for band in range(_BANDS):
        crowds: dict[int, list[str]] = {}
        for name in order:
            crowds.setdefault(seen[name].bits >> (band * _BAND_BITS) & (2**_BAND_BITS - 1), []).append(name)
        for crowd in crowds.values():
            for first, second in _pairs(crowd):
                if (seen[first].bits ^ seen[second].bits).bit_count() <= MAX_BITS:
                    pairs.add((first, second))
    return pairs


def _pairs(crowd: list[str]) -> Iterable[tuple[str, str]]:
    yield from combinations(crowd[:_MAX_CROWD], 2)
    for name in crowd[_MAX_CROWD:]:
        for first in crowd[:_MAX_CROWD]:
            yield first, name
