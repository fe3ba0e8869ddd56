"""The alignment phase: the adapter learns to tell the denoiser what its own text encoder would, and what real covers need.

Two self-supervised losses: the text encoder's states of the title (nobody special), and denoising of catalogue covers (nobody:
the item's own; a user: the one that fits item and user best). Knows models; no store.
"""

import torch
from torch import Tensor

from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.objective import Batch, denoising_loss
from icg_tasks.models.icg.studio import Studio

_DENOISING_WEIGHT = 3.0
_FLOOR = 0.3


def alignment_loss(studio: Studio, adapter: IcgAdapter, batch: Batch, covers: Catalogue) -> tuple[Tensor, dict[str, float]]:
    """Loss and its parts."""
    states = studio.states(adapter, studio.read(batch.items, adapter))
    wanted = studio.denoiser.encode_text(batch.items.titles)
    found = adapter(states, None)
    width = wanted.sequence.std() + _FLOOR, wanted.pooled.std() + _FLOOR
    text = ((found.sequence - wanted.sequence) / width[0]).square().mean()
    text = text + ((found.pooled - wanted.pooled) / width[1]).square().mean()
    denoising = denoising_loss(studio, adapter, states, batch, covers)
    loss = torch.add(text, denoising, alpha=_DENOISING_WEIGHT)
    return loss, {"text": float(text.detach()), "denoising": float(denoising.detach())}
