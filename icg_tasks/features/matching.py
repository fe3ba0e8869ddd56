"""Today's segments under yesterday's names, so that their covers stay: one-to-one, by shared users and direction of centroid.

Knows names, sizes and vectors; nothing of how groups were found. Legend: K groups of today, F former segments, V vector width.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

MIN_OVERLAP = 0.25
MIN_COSINE = 0.6
"""A pair goes by the old name if it shares this much of its users (Jaccard), or its centroids point this much the same way."""
_NAME = re.compile(r"^s(\d+)$")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Match:
    """Name of a group of today, the segment it goes on from (None if new), how far its centroid turned (cosine distance)."""

    segment_id: str
    matched_from: str | None
    drift: float | None


@dataclass(frozen=True, kw_only=True)
class Former:
    """Yesterday's segments. ``centroids_FV`` is None where they are of another encoder and cannot be compared."""

    names: Sequence[str]
    sizes_F: Ints
    centroids_FV: Floats | None
    next_number: int


def match_segments(sizes_K: Ints, centroids_KV: Floats, shared_KF: Ints, former: Former) -> tuple[list[Match], int]:
    """A name for each group, and the number that the next new segment will get: no number is ever used twice.

    ``shared_KF`` counts the users that a group shares with a former segment.
    """
    cosine_KF = None if former.centroids_FV is None else _cosine(centroids_KV, former.centroids_FV)
    union_KF = np.maximum(sizes_K[:, None] + former.sizes_F[None, :] - shared_KF, 1)
    overlap_KF = shared_KF / union_KF
    score_KF = overlap_KF if cosine_KF is None else overlap_KF + cosine_KF
    pairs: dict[int, int] = {}
    for group, old in zip(*linear_sum_assignment(-score_KF), strict=True):
        alike = cosine_KF is not None and cosine_KF[group, old] >= MIN_COSINE
        if alike or overlap_KF[group, old] >= MIN_OVERLAP:
            pairs[int(group)] = int(old)
    number = next_number(former)
    matches = []
    for group in range(len(sizes_K)):
        if group in pairs:
            old = pairs[group]
            drift = None if cosine_KF is None else max(0.0, float(1.0 - cosine_KF[group, old]))
            matches.append(Match(segment_id=former.names[old], matched_from=former.names[old], drift=drift))
        else:
            matches.append(Match(segment_id=f"s{number:03d}", matched_from=None, drift=None))
            number += 1
    return matches, number


def next_number(former: Former) -> int:
    """The first number never used so far.

    >>> next_number(Former(names=["s004"], sizes_F=np.array([9]), centroids_FV=None, next_number=3))
    5
    """
    used = [int(found.group(1)) for name in former.names if (found := _NAME.match(name))]
    return max([former.next_number, *(number + 1 for number in used)])


def nobody(width: int) -> Former:
    """No former segments: everything is new."""
    return Former(names=[], sizes_F=np.zeros(0, dtype=np.int64), centroids_FV=np.zeros((0, width)), next_number=0)


def _cosine(left_KV: Floats, right_FV: Floats) -> Floats:
    def unit(rows: Floats) -> Floats:
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))

    return np.asarray(unit(left_KV) @ unit(right_FV).T)
