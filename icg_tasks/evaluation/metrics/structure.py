"""MS-SSIM: how much of one image's structure another has, over several scales (Wang, Simoncelli, Bovik 2003).

The published form has five scales; the 11 x 11 window stays inside the smallest of them from 176 pixels on. Smaller images get
as many scales as keep it inside: 4 from 88 pixels, 3 from 44, 2 from 22, 1 (plain SSIM) from 11, the weights of those scales
brought to a sum of 1. Figures of different numbers of scales do not compare. Legend: B images, C 3, H height, W width.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from icg_tasks.evaluation.metrics.inputs import Doubles, MetricInputError, as_pixels

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _DEVIATION = 11, 1.5
_LIGHT, _CONTRAST = 0.01**2, 0.03**2


def num_scales(height: int, width: int) -> int:
    """Scales for images of this size; raises MetricInputError below 11 pixels.

    >>> [num_scales(side, side) for side in (11, 44, 64, 160, 1024)]
    [1, 3, 3, 4, 5]
    """
    side = min(height, width)
    if side < _WINDOW:
        raise MetricInputError(f"images of {height} x {width} pixels; MS-SSIM needs at least {_WINDOW} x {_WINDOW}")
    return min(len(_WEIGHTS), 1 + int(np.log2(side / _WINDOW)))


@torch.no_grad()
def ms_ssim(first: NDArray[np.uint8] | Tensor, second: NDArray[np.uint8] | Tensor) -> Doubles:
    """Similarity [B] in [0, 1] of each image with its counterpart, 1 = the same; the second is resized to the first's size.

    Mean over the three colour channels; a negative contrast term counts as 0. Raises MetricInputError.
    """
    first_BCHW = as_pixels(first).double()
    second_BCHW = as_pixels(second, (first_BCHW.shape[-2], first_BCHW.shape[-1])).double()
    if len(first_BCHW) != len(second_BCHW):
        raise MetricInputError(f"{len(first_BCHW)} images against {len(second_BCHW)}; expected a counterpart for each")
    count = num_scales(*first_BCHW.shape[-2:])
    weights = np.array(_WEIGHTS[:count]) / sum(_WEIGHTS[:count])
    found_BC = torch.ones(first_BCHW.shape[:2], dtype=torch.float64)
    for scale in range(count):
        contrast_BC, whole_BC = _terms(first_BCHW, second_BCHW)
        term_BC = whole_BC if scale == count - 1 else contrast_BC
        found_BC = found_BC * term_BC.cpu().clamp(min=0.0) ** weights[scale]
        first_BCHW, second_BCHW = functional.avg_pool2d(first_BCHW, 2), functional.avg_pool2d(second_BCHW, 2)
    return np.asarray(found_BC.mean(dim=1).numpy())


def _terms(first_BCHW: Tensor, second_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Means over the image [B, C]: of the contrast-structure term, and of its product with luminance (SSIM)."""
    mean_1, mean_2 = _blurred(first_BCHW), _blurred(second_BCHW)
    variance_1 = _blurred(first_BCHW**2) - mean_1**2
    variance_2 = _blurred(second_BCHW**2) - mean_2**2
    covariance = _blurred(first_BCHW * second_BCHW) - mean_1 * mean_2
    contrast = (2 * covariance + _CONTRAST) / (variance_1 + variance_2 + _CONTRAST)
    light = (2 * mean_1 * mean_2 + _LIGHT) / (mean_1**2 + mean_2**2 + _LIGHT)
    return contrast.mean(dim=(2, 3)), (light * contrast).mean(dim=(2, 3))


def _blurred(values_BCHW: Tensor) -> Tensor:
    """Means under a Gaussian window, only where it lies wholly inside the image."""
    steps = torch.arange(_WINDOW, dtype=values_BCHW.dtype, device=values_BCHW.device) - _WINDOW // 2
    window = torch.exp(-(steps**2) / (2 * _DEVIATION**2))
    window = window / window.sum()
    channels = values_BCHW.shape[1]
    across = functional.conv2d(values_BCHW, window.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(across, window.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
