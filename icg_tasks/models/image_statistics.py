"""Plain statistics of images that no reward looks at: the canaries of training, told again by evaluation.

Each is a function of pixels [B, 3, H, W] in [0, 1] to one number in [0, 1] per image [B]. They depend on the size of the
images: compare images of one size. Knows pixels alone. Legend: B images, C 3, H height, W width.
"""

from collections.abc import Callable
from typing import Final

from torch import Tensor

DARK_SHARE: Final = "dark_share"
EDGE_DENSITY: Final = "edge_density"
SATURATION: Final = "saturation"

_DARK = 0.12
"""Mean of the three channels below which a pixel is dark."""


def dark_share(pixels_BCHW: Tensor) -> Tensor:
    """Share of the pixels that are nearly black [B].

    >>> import torch
    >>> dark_share(torch.tensor([0.0, 0.1, 0.5, 1.0]).expand(1, 3, 1, 4)).item()
    0.5
    """
    return (pixels_BCHW.mean(dim=1) < _DARK).float().mean(dim=(1, 2))


def edge_density(pixels_BCHW: Tensor) -> Tensor:
    """Mean change of light from a pixel to the next, across and down [B]; 0 = one even area.

    >>> import torch
    >>> edge_density(torch.tensor([[0.0, 1.0], [0.0, 1.0]]).expand(1, 3, 2, 2)).item()
    0.5
    """
    light_BHW = pixels_BCHW.mean(dim=1)
    across_B = light_BHW.diff(dim=-1).abs().mean(dim=(1, 2))
    return (across_B + light_BHW.diff(dim=-2).abs().mean(dim=(1, 2))) / 2


def saturation(pixels_BCHW: Tensor) -> Tensor:
    """Mean spread between a pixel's strongest and weakest channel [B]; 0 = grey.

    >>> import torch
    >>> saturation(torch.tensor([1.0, 0.25, 0.5]).view(1, 3, 1, 1)).item()
    0.75
    """
    return (pixels_BCHW.amax(dim=1) - pixels_BCHW.amin(dim=1)).mean(dim=(1, 2))


IMAGE_STATISTICS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    DARK_SHARE: dark_share,
    EDGE_DENSITY: edge_density,
    SATURATION: saturation,
}
