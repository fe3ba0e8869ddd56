"""Looks at every different image of the judged pairs once, and gives each pair its image metrics.

All images are compared at one size, a square of the generator's side and at most 256 pixels. Knows pairs and a tower; not how
an image came about. Legend: B images of an item, I items, U segments, K candidates, E vector, D patch features, C 3, H, W.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.catalogue_seen import CatalogueSeen, at_side, batches
from icg_tasks.evaluation.judged import JudgedPairs, Pair, digest
from icg_tasks.evaluation.metrics.copying import are_copies, nearest_cover
from icg_tasks.evaluation.metrics.inputs import as_pixels
from icg_tasks.evaluation.metrics.structure import ms_ssim
from icg_tasks.evaluation.metrics.tower import Tower, sight_distance, sight_features
from icg_tasks.models.image_statistics import IMAGE_STATISTICS

_MAX_SIDE = 256
_CANDIDATES = 4

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Looked:
    """Unit vectors of all covers of an arm [I, U, E]; for some arms also of several covers each, of different noise."""

    vectors_IUE: dict[str, Floats]
    candidates_IUKE: dict[str, Floats]


def compared_side(size_pixels: int) -> int:
    """Side of the squares that images are compared as."""
    return min(size_pixels, _MAX_SIDE)


def look(judged: JudgedPairs, tower: Tower, catalogue: CatalogueSeen | None, side: int, check: Callable[[], None]) -> Looked:
    """Image metrics of every pair and arm, into ``pair.values``; vectors for figures of whole arms.

    Copying is left out without a catalogue. ``check`` is called before each item.
    """
    vectors: dict[str, list[Floats]] = {}
    candidates: dict[str, list[Floats]] = {}
    for pairs in judged.by_item():
        check()
        seen = _ItemSeen(pairs, tower, catalogue, side)
        for pair in pairs:
            for arm, image in pair.images.items():
                pair.values[arm] |= seen.values(image)
        for arm in pairs[0].images:
            vectors.setdefault(arm, []).append(np.stack([seen.vector(pair.images[arm]) for pair in pairs]))
        for arm, lists in _several(pairs).items():
            stacked = np.stack([np.stack([seen.vector(image) for image in images]) for images in lists])
            candidates.setdefault(arm, []).append(stacked)
    return Looked(
        vectors_IUE={arm: np.stack(rows) for arm, rows in vectors.items()},
        candidates_IUKE={arm: np.stack(rows) for arm, rows in candidates.items()},
    )


def _several(pairs: Sequence[Pair]) -> dict[str, list[list[Pixels]]]:
    """Per arm, several covers of one item for each segment [U][K], where there are at least two each."""
    made = pairs[0].made
    found = {
        names.PLAIN: [[one.image for one in made.plain[:_CANDIDATES]]] * len(pairs),
        names.PERSONAL: [[one.image for one in drawn[:_CANDIDATES]] for drawn in made.personal],
        names.BEST: [pair.ideals for pair in pairs],
    }
    return {arm: lists for arm, lists in found.items() if all(len(images) >= 2 for images in lists)}


class _ItemSeen:
    """One item's different images, each seen once."""

    def __init__(self, pairs: Sequence[Pair], tower: Tower, catalogue: CatalogueSeen | None, side: int) -> None:
        own = pairs[0].made.own.image
        images = {digest(own): own}
        for pair in pairs:
            images |= {digest(image): image for image in pair.images.values()}
        shown = len(images)
        for lists in _several(pairs).values():
            images |= {digest(image): image for several in lists for image in several if digest(image) not in images}
        self._row = {name: row for row, name in enumerate(images)}
        pixels_BCHW = as_pixels(np.stack([at_side(image, side) for image in images.values()]))
        first = tower.see(pixels_BCHW[:1])
        parts, vectors, distances, patches = batches(pixels_BCHW), [], [], []
        for part in parts:
            sight = tower.see(part)
            vectors.append(sight.vectors_BE.cpu().numpy())
            distances.append(sight_distance(sight, first))
            patches.append(sight_features(sight))
        self._vectors_BE = np.concatenate(vectors)
        judged_BCHW = pixels_BCHW[:shown]
        columns = {
            names.MS_SSIM: ms_ssim(judged_BCHW, judged_BCHW[:1].expand(shown, -1, -1, -1)),
            names.TOWER_DISTANCE: np.concatenate(distances)[:shown],
        }
        if catalogue is not None:
            columns[names.NEAREST], _ = nearest_cover(np.concatenate(patches)[:shown], catalogue.patches_ND)
            columns[names.COPIES] = are_copies(columns[names.NEAREST], catalogue.threshold)
        with torch.no_grad():
            columns |= {name: one(judged_BCHW).double().numpy() for name, one in IMAGE_STATISTICS.items()}
        self._columns = columns

    def values(self, image: Pixels) -> dict[str, float]:
        """Metrics of an image that an arm shows."""
        return {name: float(column[self._row[digest(image)]]) for name, column in self._columns.items()}

    def vector(self, image: Pixels) -> Floats:
        """Unit vector [E] of any of the item's images."""
        found: Floats = self._vectors_BE[self._row[digest(image)]]
        return found
