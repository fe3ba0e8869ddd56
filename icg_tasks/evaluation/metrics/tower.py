"""Tower distance: LPIPS's form over the layers of a given vision tower, every channel with weight 1.

It is *not* LPIPS: that name stands for its published networks and learned weights. Figures of different towers, layers or
sizes do not compare. ``tower_features`` are vectors whose cosines say the same, for nearest neighbours. Knows no tower.
Legend: B images, C 3, H height, W width of a layer's map, D its channels, E width of a vector, G cells of the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from icg_tasks.evaluation.metrics.inputs import Doubles, MetricInputError, as_pixels

_MAX_GRID = 8


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a tower sees in B images: a map [B, D, H, W] per layer, first to last, and a unit vector each [B, E]."""

    layers_BDHW: Sequence[Tensor]
    vectors_BE: Tensor


class Tower(Protocol):
    """A vision net, of any kind, that metrics see by."""

    @property
    def name(self) -> str:
        """The checkpoint, as settings name it."""

    def see(self, pixels_BCHW: Tensor) -> Sight:
        """Of pixels [B, 3, height, width] in [0, 1] of any size, float32 and without gradients."""


@torch.no_grad()
def tower_distance(
    tower: Tower,
    first: NDArray[np.uint8] | Tensor,
    second: NDArray[np.uint8] | Tensor,
    layers: Sequence[int] | None = None,
) -> Doubles:
    """Distance [B] in [0, 4] of each image to its counterpart, 0 = the same to this tower; symmetric.

    Raises MetricInputError; ``layers`` as in ``sight_distance``.
    """
    pixels = [as_pixels(images) for images in (first, second)]
    if len(pixels[0]) != len(pixels[1]):
        raise MetricInputError(f"{len(pixels[0])} images against {len(pixels[1])}; expected a counterpart for each")
    return sight_distance(tower.see(pixels[0]), tower.see(pixels[1]), layers)


def sight_distance(first: Sight, second: Sight, layers: Sequence[int] | None = None) -> Doubles:
    """Tower distance [B] of images to their counterparts, or to one image, from what the tower saw in them.

    Each layer's channels are brought to unit length at every place, compared place by place (squared distance), and averaged
    over places and ``layers`` (1 = the first; None = all of them). Raises MetricInputError.
    """
    chosen = range(1, len(first.layers_BDHW) + 1) if layers is None else layers
    found = []
    for one, other in zip(_layers(first, chosen), _layers(second, chosen), strict=True):
        apart = functional.normalize(one, dim=1) - functional.normalize(other, dim=1)
        found.append(apart.square().sum(dim=1).mean(dim=(1, 2)))
    return np.asarray(torch.stack(found).mean(dim=0).double().cpu().numpy())


@torch.no_grad()
def tower_features(
    tower: Tower, images: NDArray[np.uint8] | Tensor, layer: int | None = None, batch_size: int = 32
) -> NDArray[np.float32]:
    """Unit features [B, G * D] of images, as ``sight_features`` makes them. Raises MetricInputError."""
    parts = torch.split(as_pixels(images), batch_size)
    return np.concatenate([sight_features(tower.see(part), layer) for part in parts])


def sight_features(sight: Sight, layer: int | None = None) -> NDArray[np.float32]:
    """Unit states of one layer's places (None = the last layer), side by side: unit features [B, G * D], G at most 8 x 8.

    The cosine of two images is the mean cosine of their cells; where the map has at most 8 x 8 places, that is 1 - distance / 2
    of ``sight_distance`` on this layer. Finer maps are pooled. Raises MetricInputError.
    """
    states_BDHW = functional.normalize(_layers(sight, [len(sight.layers_BDHW) if layer is None else layer])[0], dim=1)
    rows, columns = states_BDHW.shape[-2:]
    pooled = functional.adaptive_avg_pool2d(states_BDHW, (min(rows, _MAX_GRID), min(columns, _MAX_GRID)))
    flat = functional.normalize(pooled, dim=1).flatten(1)
    return np.asarray(functional.normalize(flat, dim=-1).cpu().numpy(), dtype=np.float32)


def _layers(sight: Sight, layers: Sequence[int]) -> list[Tensor]:
    count = len(sight.layers_BDHW)
    if not len(layers) or any(not 1 <= layer <= count for layer in layers):
        raise MetricInputError(f"layers {list(layers)} of a tower with layers 1 to {count}; name some of those")
    return [sight.layers_BDHW[layer - 1] for layer in layers]
