"""What a cover must be before anybody may see it: pixels that are a picture, and a file that is what its row says.

Two sets of checks: on pixels when a cover is made, on stored bytes when a day is published. Knows no store and no model.
Legend: H height, W width, C 3 channels.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from icg_tasks.covers.provenance import AI_GENERATED, XMP_PACKET, digital_source_type
from icg_tasks.covers.riff import without_signature

MAX_BLOB_BYTES = 20_000_000
MAX_SIDE = 4_096
MIN_DEVIATION = 4.0
"""Standard deviation of the brightness (0 to 255) below which an image is blank."""
MAX_DOMINANT_SHARE = 0.98
"""Share of pixels within 8 levels of the median colour from which an image is near-uniform."""

Pixels = NDArray[np.float32]
Image8 = NDArray[np.uint8]


def pixel_fault(pixels_HWC: Pixels) -> str | None:
    """Why an image in [0, 1] is no cover ("not_finite", "blank", "near_uniform"), or None.

    >>> pixel_fault(np.full((8, 8, 3), 0.5, dtype=np.float32))
    'blank'
    """
    if not np.isfinite(pixels_HWC).all():
        return "not_finite"
    levels = pixels_HWC.astype(np.float64) * 255.0
    if levels.mean(axis=2).std() < MIN_DEVIATION and levels.reshape(-1, 3).std(axis=0).max() < MIN_DEVIATION:
        return "blank"
    flat = levels.reshape(-1, 3)
    near = np.abs(flat - np.median(flat, axis=0)).max(axis=1) <= 8.0
    return "near_uniform" if near.mean() >= MAX_DOMINANT_SHARE else None


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What an image looks like from afar: 64 bits of brighter-than-its-neighbour, and a copy of 8 x 8 pixels (192 bytes)."""

    bits: int
    small: bytes


def encode_webp(image_HWC: Image8, quality: int) -> bytes:
    """WebP bytes that say in XMP that the image is AI-generated; the same pixels give the same bytes (one encoder version)."""
    sink = io.BytesIO()
    Image.fromarray(image_HWC).save(sink, format="WEBP", quality=quality, method=4, xmp=XMP_PACKET)
    return sink.getvalue()


def blob_fault(data: bytes, row: dict[str, Any]) -> str | None:
    """Why a stored blob is not the cover its manifest row says, or None."""
    found = examine_blob(data, row)
    return found if isinstance(found, str) else None


def examine_blob(data: bytes, row: dict[str, Any]) -> str | Fingerprint:
    """Why a stored blob is not the cover its row says, else what it looks like. Bounds are checked before decoding."""
    if len(data) > MAX_BLOB_BYTES:
        return f"{len(data)} bytes, at most {MAX_BLOB_BYTES}"
    if hashlib.sha256(without_signature(data)).hexdigest() != row["cover_id"]:
        return "content is not what its name says"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound below is ours and stricter
            with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
                if image.size != (row["width"], row["height"]) or max(image.size) > MAX_SIDE:
                    return f"{image.width} x {image.height} pixels, expected {row['width']} x {row['height']}"
                if getattr(image, "n_frames", 1) > 1:
                    return "more than one frame"
                image.load()
                seen = fingerprint(image)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        return f"does not decode: {error}"
    return seen if digital_source_type(data) == AI_GENERATED else "does not say that it is AI-generated (XMP)"


def fingerprint(image: Image.Image) -> Fingerprint:
    """An image's fingerprint; alike for images that differ by compression, size or noise only."""
    rgb = image.convert("RGB")
    grey_89 = np.asarray(rgb.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits((grey_89[:, 1:] > grey_89[:, :-1]).reshape(-1))
    return Fingerprint(bits=int.from_bytes(bits.tobytes(), "big"), small=rgb.resize((8, 8), Image.Resampling.BOX).tobytes())
