"""What the metrics take: image batches as pixels, feature arrays as finite doubles. Knows no metric.

Legend: B images, C 3, H height, W width, N, M rows, I items, U users, D features.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from icg_tasks.contracts.errors import IcgError

Doubles = NDArray[np.float64]
Features = NDArray[np.floating]


class MetricInputError(IcgError):
    """Images or features are not of the shape or range that a metric can be computed of."""


def as_pixels(images: NDArray[np.uint8] | Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """8-bit images [B, H, W, 3] or pixels [B, 3, H, W] in [0, 1] as float32 pixels [B, 3, H, W].

    They are resized where ``size`` (height, width) is given and differs. Raises MetricInputError for other shapes, no image, or
    pixels out of range.
    """
    if isinstance(images, Tensor):
        pixels_BCHW = images.detach().float()
    elif images.dtype == np.uint8 and images.ndim == 4:
        pixels_BCHW = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    else:
        raise MetricInputError(f"images of {images.dtype} and shape {images.shape}; expected uint8 [B, H, W, 3] or a tensor")
    if pixels_BCHW.ndim != 4 or pixels_BCHW.shape[1] != 3 or not pixels_BCHW.numel():
        raise MetricInputError(f"images of shape {tuple(images.shape)}; expected at least one RGB image")
    low, high = pixels_BCHW.aminmax()
    if not (low >= -1e-4 and high <= 1 + 1e-4):
        raise MetricInputError(
            f"pixels from {float(low):.4g} to {float(high):.4g}; expected 0 to 1 (clamp what a decoder gives)"
        )
    if size is not None and tuple(pixels_BCHW.shape[-2:]) != size:
        pixels_BCHW = functional.interpolate(pixels_BCHW, size=size, mode="bicubic", antialias=True)
    return pixels_BCHW.clamp(0.0, 1.0)


def as_features(features_ND: Features, what: str, least: int = 1) -> Doubles:
    """Features as doubles [N, D]; raises MetricInputError for other shapes, fewer than ``least`` rows, or no numbers."""
    found = np.asarray(features_ND, dtype=np.float64)
    if found.ndim != 2 or len(found) < least or not found.shape[1]:
        raise MetricInputError(f"{what} of shape {found.shape}; expected [N, D] with at least {least} rows")
    wrong = int((~np.isfinite(found)).any(axis=1).sum())
    if wrong:
        raise MetricInputError(f"{what}: {wrong} of {len(found)} rows hold values that are not finite")
    return found


def by_user(made_IUD: Features) -> list[Doubles]:
    """Each user's covers [I, D]; raises MetricInputError for other shapes, fewer than two items, or no numbers."""
    if np.ndim(made_IUD) != 3 or not np.shape(made_IUD)[1]:
        raise MetricInputError(f"covers of shape {np.shape(made_IUD)}; expected [items, users, features]")
    return [as_features(made_IUD[:, user], "covers of a user", least=2) for user in range(made_IUD.shape[1])]


def same_width(first_ND: Doubles, second_MD: Doubles) -> None:
    """Raise MetricInputError where two sets come from different encoders."""
    if first_ND.shape[1] != second_MD.shape[1]:
        raise MetricInputError(f"features of width {first_ND.shape[1]} and {second_MD.shape[1]}; take both from one encoder")
