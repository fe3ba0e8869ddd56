"""Pictures of the report: copied beside the page under names of their own content, and the six-by-eight grid.

Knows the store and pixels. Whatever came from outside is bounded before it is decoded, and made small before it is kept.
"""

import hashlib
import io
from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from icg_tasks.backbones.images import decode_image
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import REPORTS, partition_prefix
from icg_tasks.lake.store import ObjectStore

MAX_SIDE = 256
SMALL_SIDE = 96
SMALL = "-small"
"""In the name of a picture that is so small that it is enlarged without smoothing."""
_MAX_BYTES, _MAX_PIXELS = 20_000_000, 40_000_000


class ImageFolder:
    """``reports/ds=…/images/``: each picture once, named by its content, addressed relative to the page."""

    def __init__(self, store: ObjectStore, run_date: date) -> None:
        self._store, self._prefix = store, f"{partition_prefix(REPORTS, run_date)}/images"
        self.kept: set[str] = set()
        self._by_key: dict[str, str | None] = {}

    def add_bytes(self, data: bytes) -> str:
        """Keep an image file's picture; returns ``images/<name>.png``. Raises DataCorrupt where it cannot be decoded."""
        image = decode_image(data, max_bytes=_MAX_BYTES, max_pixels=_MAX_PIXELS).convert("RGB")
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        return self._add(image)

    def add_pixels(self, image_HWC: NDArray[np.uint8]) -> str:
        """Keep pixels (H, W, 3) as they are; returns ``images/<name>.png``."""
        return self._add(Image.fromarray(image_HWC))

    def add_whole(self, key: str) -> str | None:
        """Keep the picture under a store key in its own size; None where there is none. Raises DataCorrupt."""
        found = self._store.get_with_etag(key)
        if found is None:
            return None
        return self._add(decode_image(found[0], max_bytes=_MAX_BYTES, max_pixels=_MAX_PIXELS).convert("RGB"))

    def add_key(self, key: str) -> str | None:
        """Keep the picture under a store key; None where there is none or it is damaged (the page says so in its place)."""
        if key not in self._by_key:
            self._by_key[key] = self._read_key(key)
        return self._by_key[key]

    def _read_key(self, key: str) -> str | None:
        found = self._store.get_with_etag(key)
        if found is None:
            return None
        try:
            return self.add_bytes(found[0])
        except DataCorrupt:
            return None

    def read(self, address: str) -> Image.Image:
        """A kept picture again, by the address that ``add_*`` returned."""
        data = self._store.get(f"{self._prefix}/{address.rpartition('/')[2]}")
        return decode_image(data, max_bytes=_MAX_BYTES, max_pixels=_MAX_PIXELS).convert("RGB")

    def _add(self, image: Image.Image) -> str:
        sink = io.BytesIO()
        image.save(sink, format="PNG", optimize=True)
        small = SMALL if max(image.size) <= SMALL_SIDE else ""
        name = f"{hashlib.sha256(sink.getvalue()).hexdigest()[:16]}{small}.png"
        if name not in self.kept:
            self._store.put(f"{self._prefix}/{name}", sink.getvalue())
            self.kept.add(name)
        return f"images/{name}"


def grid_png(rows: Sequence[Sequence[Image.Image]], *, side: int = 128, gap: int = 6) -> bytes:
    """Pictures in a grid as one PNG, each ``side`` pixels square; small pictures are enlarged without smoothing."""
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (gap + columns * (side + gap), gap + len(rows) * (side + gap)), "white")
    for number, row in enumerate(rows):
        for column, image in enumerate(row):
            way = Image.Resampling.NEAREST if image.width < side else Image.Resampling.LANCZOS
            sheet.paste(image.resize((side, side), way), (gap + column * (side + gap), gap + number * (side + gap)))
    sink = io.BytesIO()
    sheet.save(sink, format="PNG", optimize=True)
    return sink.getvalue()
