"""The catalogue's own covers as the metrics' tower sees them: what made covers are compared with.

Covers of judged items are left out, so that an item's own cover is nobody's neighbour, and every arm is compared with the same.
Knows items and images; no arm. Legend: N covers, E vector, D patch features, C 3, H height, W width.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icg_tasks.backbones.images import decode_image
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.evaluation.metrics.copying import CopyThreshold, copy_threshold, edited_copies
from icg_tasks.evaluation.metrics.inputs import as_pixels
from icg_tasks.evaluation.metrics.tower import Sight, Tower, sight_features
from icg_tasks.lake.partitions import read_partition
from icg_tasks.stage import StageContext

_MOST_COVERS = 384
_BATCH = 16

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class CatalogueSeen:
    """Unit vectors and patch features of N >= 2 covers, and from where on a cover counts as a copy of one."""

    vectors_NE: Floats
    patches_ND: Floats
    threshold: CopyThreshold


def see_catalogue(context: StageContext, tower: Tower, side: int, judged: Collection[str]) -> CatalogueSeen | None:
    """Up to 384 covers of items that are not ``judged``, by a stable hash, at ``side`` pixels; None with fewer than two.

    A cover that cannot be read is left out.
    """
    seed, limits = context.settings.evaluation.seed, context.settings.intake
    rows = read_partition(context.store, keys.ITEMS, context.run_date, ["item_id", "reference_image"]).to_pylist()
    rows = [row for row in rows if row["item_id"] not in judged]
    rows.sort(key=lambda row: hashlib.sha256(f"{seed}/catalogue/{row['item_id']}".encode()).digest())
    found: list[NDArray[np.uint8]] = []
    for row in rows:
        if len(found) == _MOST_COVERS:
            break
        try:
            data = context.store.get(keys.reference_image_key(row["reference_image"]))
            image = decode_image(data, max_bytes=limits.max_image_bytes, max_pixels=limits.max_image_pixels)
        except (DataCorrupt, DataMissing) as error:
            context.say(f"not among the catalogue's covers, item {row['item_id']}: {error}")
            continue
        found.append(at_side(np.asarray(image.convert("RGB"), dtype=np.uint8), side))
    if len(found) < 2:
        return None
    covers_NHWC = np.stack(found)
    vectors_NE, patches_ND = _seen(tower, covers_NHWC)
    threshold = copy_threshold(patches_ND, _seen(tower, edited_copies(covers_NHWC, seed))[1])
    return CatalogueSeen(vectors_NE=vectors_NE, patches_ND=patches_ND, threshold=threshold)


def at_side(image_HWC: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An 8-bit image as a square of ``side`` pixels, as a generator that draws squares would have it."""
    if image_HWC.shape[:2] == (side, side):
        return image_HWC
    pixels_CHW = as_pixels(image_HWC[None], (side, side))[0]
    return np.asarray((pixels_CHW.permute(1, 2, 0) * 255).round().byte().numpy())


def batches(pixels_BCHW: Tensor) -> tuple[Tensor, ...]:
    """In parts that a large tower can hold with all its layers."""
    return torch.split(pixels_BCHW, _BATCH)


def _seen(tower: Tower, images_NHWC: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    sights = [_kept(tower.see(part)) for part in batches(as_pixels(images_NHWC))]
    return np.concatenate([one[0] for one in sights]), np.concatenate([one[1] for one in sights])


def _kept(sight: Sight) -> tuple[Floats, Floats]:
    return sight.vectors_BE.cpu().numpy(), sight_features(sight)
