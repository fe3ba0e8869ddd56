"""How the real covers that an audience likes best look, in plain image statistics: as far as that, covers may honestly move.

Real covers were made by people, so no reward has hacked their pixels; where readers like them pale, pale is no warning.
Knows models and a catalogue. Legend: N covers, E encoder width.
"""

import torch

from icg_tasks.models.icg.audience import Audience
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.objective import of_typical_length
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.image_statistics import IMAGE_STATISTICS
from icg_tasks.models.preference.model import item_halves

_COVERS, _SEGMENTS = 12, 6


@torch.no_grad()
def liked_statistics(studio: Studio, covers: Catalogue, audience: Audience) -> dict[str, float]:
    """Mean statistics by name over the 12 covers that each of the first 6 segments prefers; each segment counts alike."""
    device = studio.compute.device
    images_NE, titles_NE = item_halves(torch.from_numpy(covers.vectors_NV).to(device))
    segments = of_typical_length(torch.from_numpy(audience.segments_SV[:_SEGMENTS]).to(device))
    scores_SN = studio.judges.taste.scores(segments, images_NE, titles_NE)
    chosen: list[int] = scores_SN.topk(min(_COVERS, len(covers)), dim=1).indices.flatten().tolist()
    rows = sorted(set(chosen))
    pixels = studio.pixels([covers.images[row] for row in rows])
    weights = torch.tensor([chosen.count(row) for row in rows], dtype=pixels.dtype, device=pixels.device)
    found = {name: statistic(pixels) for name, statistic in IMAGE_STATISTICS.items()}
    return {name: float((values * weights).sum() / weights.sum()) for name, values in found.items()}
