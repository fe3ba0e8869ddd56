"""Reference images of a catalogue: present, small enough, of a known format, whole.

Sizes and pixels are bounded before decoding. An image is decoded once: bytes already found good (yesterday's sha256 of the same
key, or earlier in this run) are not decoded again. Knows keys and bytes, not items.
"""

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from PIL import Image, UnidentifiedImageError

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.lake.store import ObjectStore

FORMATS = ("PNG", "JPEG", "WEBP")
FAULTS = (
    "image_animated",
    "image_depth",
    "image_format",
    "image_missing",
    "image_too_large",
    "image_too_many_pixels",
    "image_truncated",
    "image_unreadable",
)
"""Every reason that a CheckedImage may have."""
_THREADS = 8
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True, kw_only=True)
class CheckedImage:
    """``reason`` is empty for a good image; ``sha256`` of its bytes is empty where they were not read."""

    sha256: str = ""
    reason: str = ""
    detail: str = ""


@dataclass(kw_only=True)
class ImageChecker:
    """Checks images by store key and remembers what it has seen. ``trusted``: key → sha256 found good on an earlier day."""

    store: ObjectStore
    max_bytes: int
    max_pixels: int
    trusted: dict[str, str] = field(default_factory=dict)
    decoded: int = 0
    _seen: dict[str, CheckedImage] = field(default_factory=dict)

    def check(self, keys: Sequence[str]) -> Mapping[str, CheckedImage]:
        """A verdict for each key (safe store keys)."""
        new = [key for key in dict.fromkeys(keys) if key not in self._seen]
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            self._seen.update(zip(new, pool.map(self._check, new), strict=True))
        return {key: self._seen[key] for key in keys}

    @property
    def faults(self) -> Mapping[str, CheckedImage]:
        """Images found broken so far."""
        return {key: image for key, image in self._seen.items() if image.reason}

    def _check(self, key: str) -> CheckedImage:
        try:
            size = self.store.size(key)
            if size > self.max_bytes:
                return CheckedImage(
                    reason="image_too_large", detail=f"{size} bytes; intake.max_image_bytes allows {self.max_bytes}"
                )
            data = self.store.get(key)
        except DataMissing as error:
            return CheckedImage(reason="image_missing", detail=str(error))
        sha256 = hashlib.sha256(data).hexdigest()
        if self.trusted.get(key) == sha256:
            return CheckedImage(sha256=sha256)
        self.decoded += 1
        reason, detail = inspect_image(data, self.max_pixels)
        return CheckedImage(sha256=sha256, reason=reason, detail=detail)


def inspect_image(data: bytes, max_pixels: int) -> tuple[str, str]:
    """Reason and detail of what is wrong with these bytes, two empty texts where they are a whole still image.

    The header is read first: format, size and frames are refused before a pixel is decoded.
    """
    if missing := _cut_short(data):
        return "image_truncated", missing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about its own pixel limit; ours is below
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            return "image_format", f"{len(data)} bytes that are none of {', '.join(FORMATS)}"
        except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
            return _fault(error), f"header: {str(error)[:200]}"
        with image:
            refused = _refused(image, max_pixels)
            return refused if refused is not None else _decode(image)


def _refused(image: Image.Image, max_pixels: int) -> tuple[str, str] | None:
    """Reason and detail against an image of which only the header was read."""
    width, height = image.size
    if width * height > max_pixels:
        return "image_too_many_pixels", f"{width} x {height} pixels; intake.max_image_pixels allows {max_pixels}"
    if getattr(image, "n_frames", 1) > 1:
        return "image_animated", "more than one frame"
    if image.mode.startswith(("I", "F")):  # Pillow would clip these to white when it makes RGB of them
        return "image_depth", f"grey values of more than 8 bits (mode {image.mode}); send 8 bits per channel"
    return None


def _cut_short(data: bytes) -> str:
    """What the container itself says is missing at the end; a JPEG says so only when it is decoded."""
    if not data:
        return "0 bytes"
    if data.startswith(_PNG_START) and _PNG_END not in data:
        return f"{len(data)} bytes of a PNG without its end chunk"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        promised = int.from_bytes(data[4:8], "little") + 8
        if promised > len(data):
            return f"{len(data)} bytes of a WebP that promises {promised}"
    return ""


def _decode(image: Image.Image) -> tuple[str, str]:
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, MemoryError, EOFError, IndexError, struct.error, zlib.error) as error:
        return _fault(error), str(error)[:200]
    return "", ""


def _fault(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return "image_too_many_pixels"
    return "image_truncated" if "truncated" in str(error).lower() else "image_unreadable"
