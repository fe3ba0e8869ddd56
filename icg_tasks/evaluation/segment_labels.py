"""Names and icons of a day's segments for the report: looks at a few covers of each history and of the catalogue.

Knows the store; what makes a name stands in features/segment_names. An item whose image cannot be read goes without looks.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from icg_tasks.contracts.errors import IcgError
from icg_tasks.contracts.partitions import reference_image_key
from icg_tasks.features.segment_names import Item, Pixels, SegmentName, name_segments
from icg_tasks.stage import StageContext

_SIDE = 32
_MAX_CATALOGUE = 160
"""Covers that stand for the whole catalogue, chosen by content hash."""
_FORMATS = ("PNG", "JPEG", "WEBP")


def segment_labels(
    context: StageContext, segments: Sequence[Mapping[str, Any]], items: Mapping[str, Mapping[str, Any]]
) -> dict[str, SegmentName]:
    """A name for each segment (rows of SEGMENTS) out of rows of ITEMS by id."""
    seen: dict[str, Item] = {}

    def item(item_id: str) -> Item:
        if item_id not in seen:
            row = items[item_id]
            pixels = _pixels(context, str(row["reference_image"]))
            seen[item_id] = Item(title=str(row["title"] or ""), category=str(row["category"] or ""), pixels=pixels)
        return seen[item_id]

    chosen = sorted(items, key=lambda item_id: (str(items[item_id]["content_hash"]), item_id))[:_MAX_CATALOGUE]
    histories = {str(row["segment_id"]): [item(item_id) for item_id in row["history"] if item_id in items] for row in segments}
    return name_segments(histories, [item(item_id) for item_id in chosen])


def _pixels(context: StageContext, reference_image: str) -> Pixels | None:
    """A thumbnail of the item's own cover; None where it cannot be had."""
    settings = context.settings.intake
    try:
        data = context.store.get(reference_image_key(reference_image))
        if len(data) > settings.max_image_bytes:
            return None
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > settings.max_image_pixels:
                return None
            image.draft("RGB", (_SIDE, _SIDE))
            return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.uint8)
    except (IcgError, UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        context.say(f"{reference_image} gives its segment no looks: {error}")
        return None
