"""The alignment phase: the adapter learns to tell the denoiser what its own text encoder would, and what real covers need.

Two self-supervised losses: the text encoder's states of the title (nobody special), and denoising of catalogue covers (nobody:
the item's own; a user: the one that fits item and user best). Knows models; no store. Legend: G items of this process.
"""

import torch
from torch import Tensor

from icg_tasks.backbones.denoisers.conditioning import spread, squared_differences
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.batch import Batch
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.objective import denoising_loss
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.training.processes import Processes

_DENOISING_WEIGHT = 3.0
_FLOOR = 0.3


def alignment_loss(
    studio: Studio, adapter: IcgAdapter, batch: Batch, covers: Catalogue, processes: Processes | None = None
) -> tuple[Tensor, dict[str, float]]:
    """Loss of this process's rows, and its parts; how wide the text states spread is taken over the rows of all processes.

    Positions that the text encoder does not count are not matched, and neither is a pooled vector that there is not.
    """
    together = processes or Processes()
    states = studio.states(adapter, studio.read(batch.items, adapter))
    wanted = studio.denoiser.encode_text(batch.items.titles)
    found = adapter(states, None)
    sequence, pooled = squared_differences(found, wanted)
    counted = wanted.counted().sum()
    sequence = sequence * (together.count * counted / together.gather(counted[None]).sum())  # 1, unless masks are uneven
    text = sequence / (spread(together.gather(wanted.sequence)) + _FLOOR).square()
    text = text + pooled / (spread(together.gather(wanted.pooled)) + _FLOOR).square()
    denoising = denoising_loss(studio, adapter, states, batch, covers)
    loss = torch.add(text, denoising, alpha=_DENOISING_WEIGHT)
    return loss, {"text": float(text.detach()), "denoising": float(denoising.detach())}
