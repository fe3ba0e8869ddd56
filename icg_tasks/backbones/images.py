"""How an encoder wants its images: resize, crop and normalisation of ``preprocessor_config.json``, in torch, with gradients.

Also the one safe door from image bytes to a PIL image: size and pixels are bounded before anything is decoded.
Knows no model. Legend: B images, C channels (3), H height, W width.
"""

import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from icg_tasks.contracts.errors import DataCorrupt

MODES = {0: "nearest", 2: "bilinear", 3: "bicubic"}
"""PIL's resampling numbers as torch calls them; those without a differentiable counterpart are refused."""
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_MAX_SIDE = 2_048


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Resize to a shortest edge of ``shortest_edge`` (or to ``height`` x ``width`` exactly), crop the centre, normalise."""

    height: int
    width: int
    shortest_edge: int | None
    mode: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    @classmethod
    def from_folder(cls, folder: Path) -> "Preprocessing":
        """From a checkpoint's ``preprocessor_config.json``; raises DataCorrupt where it is missing or asks for the unknown."""
        path = folder / "preprocessor_config.json"
        try:
            return cls.from_config(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataCorrupt(
                f"{path}: cannot be used ({error}); an encoder's folder needs its image processor's config"
            ) from error

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Preprocessing":
        """From the parsed config. Sizes may be numbers (old style) or mappings.

        >>> Preprocessing.from_config({"size": 224, "crop_size": 224, "resample": 3}).shortest_edge
        224
        """
        size = config["size"] if isinstance(config["size"], Mapping) else {"shortest_edge": config["size"]}
        shortest = int(size["shortest_edge"]) if config.get("do_resize", True) and "shortest_edge" in size else None
        target = size
        if shortest is not None or config.get("do_center_crop", False):
            crop = config.get("crop_size", shortest)
            target = crop if isinstance(crop, Mapping) else {"height": crop, "width": crop}
        height, width = int(target["height"]), int(target["width"])
        if not (
            0 < height <= _MAX_SIDE
            and 0 < width <= _MAX_SIDE
            and (shortest is None or max(height, width) <= shortest <= _MAX_SIDE)
        ):
            raise ValueError(f"sizes {size} and {dict(target)} do not fit together")
        if abs(float(config.get("rescale_factor", 1 / 255)) - 1 / 255) > 1e-6:
            raise ValueError(f"rescale_factor is {config['rescale_factor']}, expected 1/255")
        normalises = config.get("do_normalize", True)
        return cls(
            height=height,
            width=width,
            shortest_edge=shortest,
            mode=MODES[int(config.get("resample", 3))],
            mean=_three(config.get("image_mean", (0.5, 0.5, 0.5))) if normalises else (0.0, 0.0, 0.0),
            deviation=_three(config.get("image_std", (0.5, 0.5, 0.5))) if normalises else (1.0, 1.0, 1.0),
        )

    def apply(self, pixels_BCHW: Tensor) -> Tensor:
        """Pixels in [0, 1] of any size to normalised pixel values [B, 3, height, width]; differentiable."""
        height, width = pixels_BCHW.shape[-2:]
        resized = pixels_BCHW
        target = self._resized(height, width)
        if target != (height, width):
            smooth = {"antialias": True} if self.mode != "nearest" else {}
            resized = functional.interpolate(pixels_BCHW, size=target, mode=self.mode, **smooth).clamp(0.0, 1.0)
        top, left = (resized.shape[-2] - self.height) // 2, (resized.shape[-1] - self.width) // 2
        cropped = resized[..., top : top + self.height, left : left + self.width]
        mean = torch.tensor(self.mean, dtype=cropped.dtype, device=cropped.device).view(1, 3, 1, 1)
        deviation = torch.tensor(self.deviation, dtype=cropped.dtype, device=cropped.device).view(1, 3, 1, 1)
        return (cropped - mean) / deviation

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.shortest_edge is None:
            return self.height, self.width
        shortest = min(height, width)
        return height * self.shortest_edge // shortest, width * self.shortest_edge // shortest


def pil_to_pixels(image: Image.Image) -> Tensor:
    """One image as pixels [1, 3, H, W] in [0, 1]; transparency is laid on white."""
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    array = np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255.0)
    return torch.from_numpy(array).permute(2, 0, 1).unsqueeze(0).contiguous()


def decode_image(data: bytes, *, max_bytes: int, max_pixels: int) -> Image.Image:
    """Image bytes as an RGB(A) PIL image, wholly decoded.

    Raises:
        DataCorrupt: too many bytes or pixels (checked before decoding), another format, truncated or damaged data.
    """
    if len(data) > max_bytes:
        raise DataCorrupt(f"image of {len(data)} bytes, at most {max_bytes} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound below is ours and stricter
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.width * image.height > max_pixels:
                raise DataCorrupt(f"image of {image.width} x {image.height} pixels, at most {max_pixels} are decoded")
            image.load()
            return image
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataCorrupt(f"image cannot be decoded: {error}") from error


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
