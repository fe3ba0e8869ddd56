"""Names of the arms and metrics, and the pairs of segment and item they are compared on. Knows no model and no file.

An arm is a way to choose the image that a segment sees for an item. Every arm is judged on the same pairs.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.holdout import is_held_out_item

OWN: Final = "own_cover"
PLAIN: Final = "unpersonalised"
PLAIN_BEST: Final = "unpersonalised_best_of_8"
PERSONAL: Final = "personalised"
PERSONAL_BEST: Final = "personalised_best_of_8"
SWAPPED: Final = "swapped"
BEST: Final = "best_achievable"
ARMS: Final = (OWN, PLAIN, PLAIN_BEST, PERSONAL, PERSONAL_BEST, SWAPPED, BEST)
"""Of the day's own generator; every evaluation has them."""
RIVALS: Final = ("icg", "pigeon", "pigeon_stage_1")
"""Generators that may be judged beside the day's own: an arm of single samples bears the rival's name."""


def rival_plain(name: str) -> str:
    """The arm of a rival's unpersonalised covers."""
    return f"{name}_{PLAIN}"


def rival_best(name: str) -> str:
    """The arm of the best of a rival's eight."""
    return f"{name}_best_of_8"


_RIVAL_ARMS = tuple(arm for name in RIVALS for arm in (rival_plain(name), name, rival_best(name)))
ALL_ARMS: Final = (*ARMS[:3], *_RIVAL_ARMS, *ARMS[3:])
"""In the order in which tables show them."""

PROBABILITY: Final = "true_click_probability"
LOGIT: Final = "true_click_logit"
SUBJECT: Final = "subject_recognised"
RELEVANCE: Final = "relevance"
AESTHETIC: Final = "aesthetic"
PREFERENCE: Final = "preference"
METRICS: Final = (PROBABILITY, LOGIT, SUBJECT, RELEVANCE, AESTHETIC, PREFERENCE)
WORLD_METRICS: Final = (PROBABILITY, LOGIT, SUBJECT)
"""Metrics that need a known truth; the others exist for any data."""
HELD_OUT_LOGIT: Final = "true_click_logit_held_out_users"
"""The true logit over those of a segment's users that no training saw; not known where a segment has none."""

MS_SSIM: Final = "ms_ssim"
TOWER_DISTANCE: Final = "tower_distance"
NEAREST: Final = "nearest_cover_cosine"
COPIES: Final = "copy_share"
FRECHET: Final = "frechet_distance"
KERNEL: Final = "kernel_distance"
DIVERSITY_USERS: Final = "diversity_users"
DIVERSITY_ITEMS: Final = "diversity_items"
LOOKS: Final = "distinct_looks"
STATISTICS: Final = ("dark_share", "edge_density", "saturation")
"""As ``models.image_statistics`` names them."""

PAIR_METRICS: Final = (*METRICS, HELD_OUT_LOGIT, MS_SSIM, TOWER_DISTANCE, NEAREST, COPIES, *STATISTICS)
"""Metrics with one value per pair of segment and item; the others are one figure of all of an arm's covers."""
BLOCKS: Final = (
    ("Clicks and scores", (*METRICS, HELD_OUT_LOGIT)),
    ("Beside the item’s own cover and the catalogue’s", (MS_SSIM, TOWER_DISTANCE, NEAREST, COPIES, FRECHET, KERNEL)),
    ("Variety, and canaries that nothing trains on", (DIVERSITY_USERS, DIVERSITY_ITEMS, LOOKS, *STATISTICS)),
)
"""How people are shown the table: every metric there is, in the order of its rows."""
ALL_METRICS: Final = tuple(metric for _, metrics in BLOCKS for metric in metrics)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A segment as evaluation needs it: its users by keyed hash, and its vector (the mean of theirs)."""

    segment_id: str
    user_ids: Sequence[str]
    vector: NDArray[np.float32]

    @property
    def taste_in_looks(self) -> NDArray[np.float32]:
        """The half of its vector that goes with covers' image vectors; the other half goes with titles."""
        return self.vector[: len(self.vector) // 2]


@dataclass(frozen=True, kw_only=True)
class HeldOutItem:
    """An item no training of the adapter saw; ``image_bytes`` is its own cover as it came in."""

    item_id: str
    title: str
    image_bytes: bytes


def held_out_order(item_ids: Sequence[str], seed: int) -> list[str]:
    """The held-out items among these, in an order that depends on seed and id alone.

    Raises DataMissing where none is held out: there would be nothing honest to judge on.
    """
    held_out = [item_id for item_id in item_ids if is_held_out_item(item_id)]
    if not held_out:
        raise DataMissing(f"none of {len(item_ids)} items is held out (a fifth of all are); evaluate on a larger catalogue")
    return sorted(held_out, key=lambda item_id: hashlib.sha256(f"{seed}/{item_id}".encode()).digest())


def least_alike(vectors_SV: NDArray[np.float32]) -> list[int]:
    """Whose cover each of S segments gets in the swapped arm: never its own, each one used once, tastes as unlike as can be.

    Segments that share a taste in looks would swap nothing, however far their topics are apart. The assignment with the lowest
    sum of cosines is optimal (Hungarian method).

    >>> least_alike(np.array([[1, 0], [1, 0.1], [-1, 0], [-1, 0.1]], dtype=np.float32))
    [3, 2, 1, 0]
    """
    count = len(vectors_SV)
    if count < 2:
        raise DataMissing(f"{count} segment to evaluate; a swapped cover needs at least two")
    units_SV = vectors_SV.astype(np.float64)
    units_SV /= np.maximum(np.linalg.norm(units_SV, axis=1, keepdims=True), 1e-12)
    alike_SS = units_SV @ units_SV.T
    np.fill_diagonal(alike_SS, 4.0 * count)  # dearer than any way round it
    return [int(other) for other in linear_sum_assignment(alike_SS)[1]]
