"""The pairs that are judged: which image each arm shows, every metric's value, and what is kept of them for the report.

Knows arms, pairs and images; not how an image came about or where a value came from.
"""

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from icg_tasks.evaluation.arms import AESTHETIC, ALL_ARMS, PAIR_METRICS, PREFERENCE, RELEVANCE, Segment
from icg_tasks.evaluation.making import ItemImages, Scored, Studio
from icg_tasks.lake.store import ObjectStore


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A segment, an item, and what is known of each arm's image for them."""

    segment: Segment
    made: ItemImages
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    values: dict[str, dict[str, float]] = field(default_factory=dict)  # arm, metric
    ideals: list[NDArray[np.uint8]] = field(default_factory=list)  # several best achievable covers, of different noise


class JudgedPairs:
    """All pairs, in the order they were added."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []

    def add(self, studio: Studio, segment: Segment, made: ItemImages, arms: dict[str, Scored]) -> None:
        """A pair with its arms' images, and the values that models give."""
        pair = Pair(segment=segment, made=made)
        self.pairs.append(pair)
        self.add_arms(studio, pair, arms)

    def add_arms(self, studio: Studio, pair: Pair, arms: dict[str, Scored]) -> None:
        """More arms of a pair."""
        preferences = studio.preferences(pair.segment, pair.made.title_vector, list(arms.values()))
        for (arm, scored), preference in zip(arms.items(), preferences.tolist(), strict=True):
            pair.images[arm] = scored.image
            pair.values[arm] = {PREFERENCE: preference, RELEVANCE: scored.relevance, AESTHETIC: scored.aesthetic}

    @property
    def num_images(self) -> int:
        """Different images among all pairs and arms."""
        return len({digest(image) for pair in self.pairs for image in pair.images.values()})

    def by_item(self) -> list[list[Pair]]:
        """Each item's pairs, in the order in which segments were added."""
        found: dict[str, list[Pair]] = {}
        for pair in self.pairs:
            found.setdefault(pair.made.item.item_id, []).append(pair)
        return list(found.values())

    def values(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        """(arm, metric) to one value per pair. A metric that no head is configured for (all NaN) is left out."""
        found = {}
        for arm in ALL_ARMS:
            for metric in PAIR_METRICS:
                if all(metric in pair.values.get(arm, {}) for pair in self.pairs):
                    column = np.array([pair.values[arm][metric] for pair in self.pairs])
                    if not np.isnan(column).all():
                        found[arm, metric] = column
        return found

    def detail(self, store: ObjectStore, prefix: str) -> dict[str, Any]:
        """Segments, items and pairs as JSON; their images go below ``prefix``, named by content, and replace what was there."""
        written: dict[str, str] = {}
        pairs = [
            {
                "segment_id": pair.segment.segment_id,
                "item_id": pair.made.item.item_id,
                "images": {arm: _keep(store, prefix, image, written) for arm, image in pair.images.items()},
                "values": {
                    arm: {metric: round(value, 6) for metric, value in found.items() if np.isfinite(value)}
                    for arm, found in pair.values.items()
                },
            }
            for pair in self.pairs
        ]
        for key in list(store.list(f"{prefix}/")):
            if key not in set(written.values()):
                store.delete(key)
        segments = {pair.segment.segment_id: len(pair.segment.user_ids) for pair in self.pairs}
        titles = {pair.made.item.item_id: pair.made.item.title for pair in self.pairs}
        return {
            "segments": [{"segment_id": name, "size": size} for name, size in segments.items()],
            "items": [{"item_id": name, "title": title} for name, title in titles.items()],
            "pairs": pairs,
        }


def digest(image: NDArray[np.uint8]) -> str:
    """What an image is known by: a hash of its shape and pixels."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def _keep(store: ObjectStore, prefix: str, image: NDArray[np.uint8], written: dict[str, str]) -> str:
    name = digest(image)
    if name not in written:
        sink = io.BytesIO()
        Image.fromarray(image).save(sink, format="PNG", optimize=True)
        written[name] = f"{prefix}/{name[:24]}.png"
        store.put(written[name], sink.getvalue())
    return written[name]
