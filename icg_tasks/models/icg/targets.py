"""Which real cover the denoising loss is taken on: for nobody the item's own, for a user the one that fits item and user best.

"Fits" is told by the dual encoder (cover against title) and the preference model (cover against user), among all covers of the
training catalogue: looks are learned from real covers, whose pixels no reward can have hacked. Self-supervised: no cover was
made for a user. Knows vectors; no image. Legend: N catalogue items, G chosen for, E encoder width, V = 2E.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.preference.model import PreferenceModel, item_halves

_NEAREST_SHARE = 0.06
_FEWEST = 6


class Targets:
    """For each item the covers whose pictures say its title best, and a score among them for any user."""

    def __init__(self, catalogue: Catalogue, preference: PreferenceModel) -> None:
        self._images_NE, self._titles_NE = item_halves(torch.from_numpy(catalogue.vectors_NV))
        self._preference = preference
        count = min(len(catalogue), max(_FEWEST, round(_NEAREST_SHARE * len(catalogue))))
        self._near_NM = (self._titles_NE @ self._images_NE.T).topk(count, dim=1).indices

    @torch.no_grad()
    def choose(self, rows_G: NDArray[np.int64], users_GV: NDArray[np.float32], rng: np.random.Generator) -> list[int]:
        """Catalogue row of the cover for each (item, user); a zero user gets the item's own."""
        chosen = []
        device = next(self._preference.network.parameters()).device
        for row, user in zip(rows_G.tolist(), torch.from_numpy(users_GV), strict=True):
            near = self._near_NM[row]
            if not user.any():
                chosen.append(row)
                continue
            images, titles = self._images_NE[near].to(device), self._titles_NE[row].expand(len(near), -1).to(device)
            scores = self._preference.score(user.expand(len(near), -1).to(device), images, titles)
            best = scores.topk(min(2, len(near))).indices.cpu()
            chosen.append(int(near[best[int(rng.integers(len(best)))]]))
        return chosen
