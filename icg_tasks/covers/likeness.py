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
Owned = tuple[str, str]
"""A cover of an item: (item id, cover id)."""


def near_duplicates(rows: Iterable[Row], seen: Mapping[str, Fingerprint], max_levels: float) -> dict[Owned, Owned]:
    """Covers that repeat a cover of *another item*, and which; of a group the first by (made_on, item, cover) stays.

    ``max_levels``: mean difference of the small copies, in levels of 255, up to which two covers are one.
    """
    ordered = sorted(rows, key=lambda row: (row["made_on"], row["item_id"], row["cover_id"]))
    order = list(dict.fromkeys((row["item_id"], row["cover_id"]) for row in ordered))
    place = {owned: number for number, owned in enumerate(order)}
    found: dict[Owned, Owned] = {}
    for first, second in sorted(_candidates(order, seen), key=lambda pair: (place[pair[0]], place[pair[1]])):
        both_stand = first[0] != second[0] and first not in found and second not in found
        if both_stand and difference(seen[first[1]], seen[second[1]]) <= max_levels:
            found[second] = first
    return found


def difference(one: Fingerprint, other: Fingerprint) -> float:
    """Mean difference of two images' small copies, in levels of 255."""
    first, second = (np.frombuffer(each.small, dtype=np.uint8).astype(np.int16) for each in (one, other))
    return float(np.abs(first - second).mean())


def _candidates(order: list[Owned], seen: Mapping[str, Fingerprint]) -> set[tuple[Owned, Owned]]:
    """Pairs that share a band and are at most MAX_BITS apart, each in order. A crowd is compared with its first members."""
    pairs: set[tuple[Owned, Owned]] = set()
    for band in range(_BANDS):
        crowds: dict[int, list[Owned]] = {}
        for owned in order:
            crowds.setdefault(seen[owned[1]].bits >> (band * _BAND_BITS) & (2**_BAND_BITS - 1), []).append(owned)
        for crowd in crowds.values():
            for first, second in _pairs(crowd):
                if (seen[first[1]].bits ^ seen[second[1]].bits).bit_count() <= MAX_BITS:
                    pairs.add((first, second))
    return pairs


def _pairs(crowd: list[Owned]) -> Iterable[tuple[Owned, Owned]]:
    yield from combinations(crowd[:_MAX_CROWD], 2)
    for later in crowd[_MAX_CROWD:]:
        for first in crowd[:_MAX_CROWD]:
            yield first, later
