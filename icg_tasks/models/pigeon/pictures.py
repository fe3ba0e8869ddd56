"""Pictures of masks: which patches of a history are kept, for one reference and for another.

Knows pixels and masks. Legend: S samples, H history images, N codes of an image, C 3, X Y pixels.
"""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from icg_tasks.models.pigeon.atelier import Atelier
from icg_tasks.models.pigeon.model import Pigeon
from icg_tasks.models.pigeon.sequence import Asked
from icg_tasks.models.pigeon.windows import Windows

MASKS_PICTURE = "masks.png"
_HIDDEN_LIGHT = 0.15
_GAP = 2
_RATIO, _SEED = 0.5, 0


def shaded(pixels_CXY: Tensor, kept_N: Tensor, grid: tuple[int, int]) -> Tensor:
    """The image, patches of hidden codes nearly black.

    >>> shaded(torch.ones(3, 2, 2), torch.tensor([1.0, 0.0, 1.0, 1.0]), (2, 2))[0].tolist()
    [[1.0, 0.15000000596046448], [1.0, 1.0]]
    """
    light = kept_N.view(1, 1, *grid).float() * (1 - _HIDDEN_LIGHT) + _HIDDEN_LIGHT
    return pixels_CXY * functional.interpolate(light, size=pixels_CXY.shape[-2:], mode="nearest")[0]


@torch.no_grad()
def masks_picture(atelier: Atelier, pigeon: Pigeon, windows: Windows) -> bytes:
    """A PNG of two rows: the first window's reference with its history as masked for it, then the same history for the second
    window's reference. Hidden patches are nearly black."""
    tokens, own = atelier.tokens, atelier.covers.asked(windows.part([0, 1]))
    asked = Asked(history_BHN=own.history_BHN[:1].expand(2, -1, -1), reference_BN=own.reference_BN, titles=own.titles)
    masks = pigeon.draw_masks(asked, atelier.plan(torch.full((2,), _RATIO), [_SEED] * 2))
    rows = []
    for row in range(2):
        pixels = tokens.decode(torch.cat([asked.reference_BN[row : row + 1], asked.history_BHN[row]])).cpu()
        kept = torch.cat([masks.reference_BN[row : row + 1], masks.history_BHN[row]]).cpu()
        shown = [shaded(image, mask, tokens.grid) for image, mask in zip(pixels, kept, strict=True)]
        rows.append(torch.cat([functional.pad(image, (_GAP,) * 4, value=1.0) for image in shown], dim=-1))
    levels = (torch.cat(rows, dim=-2) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels)).save(sink, "PNG")
    return sink.getvalue()
