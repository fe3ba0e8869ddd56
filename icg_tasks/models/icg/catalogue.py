"""The items that an adapter learns on: titles, reference images and their vectors. Held-out items are never among them.

Reads clean/items, features/items and raw images. Knows no model. Legend: N items, V = 2E item vector.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from icg_tasks.backbones.images import decode_image
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.holdout import is_held_out_item
from icg_tasks.contracts.partitions import ITEM_FEATURES, ITEMS
from icg_tasks.lake.partitions import read_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

_MOST_ITEMS = 768
_VALIDATION_SHARE = 0.12
_FEWEST = 8
_LONGEST_SIDE = 512


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Items in a stable order; images are RGB, sides at most 512 pixels."""

    item_ids: list[str]
    titles: list[str]
    images: list[Image.Image]
    vectors_NV: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.item_ids)

    def part(self, rows: list[int]) -> "Catalogue":
        """Some of the items."""
        return Catalogue(
            item_ids=[self.item_ids[row] for row in rows],
            titles=[self.titles[row] for row in rows],
            images=[self.images[row] for row in rows],
            vectors_NV=self.vectors_NV[rows],
        )


def read_catalogue(context: StageContext) -> tuple[Catalogue, Catalogue, int]:
    """Items to learn on, items to choose checkpoints by, and how many images could not be used.

    At most 768 items, chosen by a stable hash. Raises DataMissing where fewer than 8 can be used.
    """
    store, day = context.store, context.run_date
    rows = read_partition(store, ITEMS, day, ["item_id", "title", "reference_image"]).to_pylist()
    table = read_partition(store, ITEM_FEATURES, day, ["item_id", "vector"])
    vectors = dict(zip(table["item_id"].to_pylist(), table["vector"].to_pylist(), strict=True))
    rows = [row for row in rows if row["item_id"] in vectors and not is_held_out_item(row["item_id"])]
    rows.sort(key=lambda row: _share(row["item_id"]))
    found: list[tuple[str, str, Image.Image]] = []
    unusable = 0
    for row in rows:
        if len(found) == _MOST_ITEMS:
            break
        image = _image(store, row["reference_image"], context)
        unusable += image is None
        if image is not None:
            found.append((row["item_id"], row["title"], image))
    if len(found) < _FEWEST:
        raise DataMissing(
            f"the adapter needs {_FEWEST} items to learn on, {ITEMS} of {day} has {len(found)} with a vector and an image that "
            f"can be read ({unusable} cannot); run validate-items and embed-items, or look at {ITEMS}"
        )
    whole = Catalogue(
        item_ids=[item for item, _, _ in found],
        titles=[title for _, title, _ in found],
        images=[image for _, _, image in found],
        vectors_NV=np.array([vectors[item] for item, _, _ in found], dtype=np.float32),
    )
    aside = max(_FEWEST // 2, round(_VALIDATION_SHARE * len(whole)))
    return whole.part(list(range(aside, len(whole)))), whole.part(list(range(aside))), unusable


def _share(item_id: str) -> float:
    """A stable number that orders items at random."""
    digest = hashlib.sha256(f"adapter/{item_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _image(store: ObjectStore, key: str, context: StageContext) -> Image.Image | None:
    """The image, or None where it cannot be used (said aloud; the item is left out)."""
    intake = context.settings.intake
    try:
        if store.size(key) > intake.max_image_bytes:
            raise DataCorrupt(f"more than {intake.max_image_bytes} bytes")
        image = decode_image(store.get(key), max_bytes=intake.max_image_bytes, max_pixels=intake.max_image_pixels)
    except (DataCorrupt, DataMissing) as error:
        context.say(f"left out {key}: {error}")
        return None
    small = image.convert("RGB")
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BICUBIC)
    return small
