"""Tower distance: LPIPS's form over the layers of a given vision tower, every channel with weight 1.

It is *not* LPIPS: that name stands for its published networks and learned weights. Figures of different towers, layers or
sizes do not compare. ``tower_features`` are vectors whose cosines say the same, for nearest neighbours.
Legend: B images, C 3, H height, W width, P patches, D width of the tower, G cells of the grid.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.evaluation.metrics.inputs import Doubles, MetricInputError, as_pixels

_MAX_GRID = 8


@torch.no_grad()
def tower_distance(
    encoder: DualEncoder,
    first: NDArray[np.uint8] | Tensor,
    second: NDArray[np.uint8] | Tensor,
    layers: Sequence[int] | None = None,
) -> Doubles:
    """Distance [B] in [0, 4] of each image to its counterpart, 0 = the same to this tower; symmetric.

    Patch states of each layer are brought to unit length, compared patch by patch (squared distance), and averaged over
    patches and ``layers`` (1 = after the first transformer layer; None = all of them). Raises MetricInputError.
    """
    first_LBPD, second_LBPD = (_states(encoder, as_pixels(images), layers) for images in (first, second))
    if len(first_LBPD[0]) != len(second_LBPD[0]):
        raise MetricInputError(f"{len(first_LBPD[0])} images against {len(second_LBPD[0])}; expected a counterpart for each")
    found = [
        (functional.normalize(one, dim=-1) - functional.normalize(other, dim=-1)).square().sum(dim=-1).mean(dim=1)
        for one, other in zip(first_LBPD, second_LBPD, strict=True)
    ]
    return np.asarray(torch.stack(found).mean(dim=0).double().cpu().numpy())


@torch.no_grad()
def tower_features(
    encoder: DualEncoder, images: NDArray[np.uint8] | Tensor, layer: int | None = None, batch_size: int = 32
) -> NDArray[np.float32]:
    """Unit patch states of one layer (None = the last), side by side: unit features [B, G * D] with G at most 8 x 8.

    The cosine of two images is the mean cosine of their cells; where there are at most 8 x 8 patches, that is 1 - distance / 2
    of ``tower_distance`` on this layer. Finer grids are pooled. Raises MetricInputError.
    """
    vision: Any = encoder.model.config.vision_config  # type: ignore[union-attr]
    rows, columns = encoder.preprocessing.height // vision.patch_size, encoder.preprocessing.width // vision.patch_size
    chosen = [int(vision.num_hidden_layers) if layer is None else layer]
    found = []
    for part in torch.split(as_pixels(images), batch_size):
        states_BPD = functional.normalize(_states(encoder, part, chosen)[0], dim=-1)
        cells_BDHW = states_BPD.transpose(1, 2).reshape(len(part), -1, rows, columns)
        pooled = functional.adaptive_avg_pool2d(cells_BDHW, (min(rows, _MAX_GRID), min(columns, _MAX_GRID)))
        flat = functional.normalize(pooled, dim=1).flatten(1)
        found.append(functional.normalize(flat, dim=-1).cpu().numpy())
    return np.concatenate(found)


def _states(encoder: DualEncoder, pixels_BCHW: Tensor, layers: Sequence[int] | None) -> list[Tensor]:
    """Patch states [B, P, D] of each layer, of one pass."""
    values = encoder.preprocessing.apply(pixels_BCHW.to(encoder.device)).to(encoder.dtype)
    model: Any = encoder.model
    hidden = model.get_image_features(pixel_values=values, output_hidden_states=True).hidden_states
    chosen = range(1, len(hidden)) if layers is None else layers
    wrong = [layer for layer in chosen if not 0 <= layer < len(hidden)]
    if wrong or not len(chosen):
        raise MetricInputError(f"layers {list(chosen)} of a tower with layers 0 to {len(hidden) - 1}; name some of those")
    patch = model.config.vision_config.patch_size
    patches = (encoder.preprocessing.height // patch) * (encoder.preprocessing.width // patch)
    return [hidden[layer][:, -patches:].float() for layer in chosen]
