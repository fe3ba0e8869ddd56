"""Tower distance: LPIPS's form over the layers of a given vision tower, every channel with weight 1.

It is *not* LPIPS: that name stands for its published networks and learned weights. Figures of different towers, layers or
sizes do not compare. Legend: B images, C 3, H height, W width, P patches, D width of the tower.
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
