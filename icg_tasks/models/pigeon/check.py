"""How well Pigeon recovers covers and how personal its own are, on windows of users set aside, with canaries nothing trains on.

Covers are single samples at one reference ratio, so that no figure is a best of several. Knows an atelier; no store.
Legend: B windows, N codes, E encoder width.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icg_tasks.models.image_statistics import IMAGE_STATISTICS
from icg_tasks.models.pigeon.atelier import Atelier, seeds_of
from icg_tasks.models.pigeon.losses import reconstruction_loss
from icg_tasks.models.pigeon.model import Pigeon
from icg_tasks.models.pigeon.windows import Windows
from icg_tasks.models.training.processes import Processes

_RATIO = 0.5
_AT_ONCE = 32
_MASK_SEEDS, _WRITE_SEEDS, _RATIOS = 201, 202, 203

Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Check:
    """Similarities in [-1, 1], window by window: of the personal cover, and of the plain one from the same seed."""

    loss: float  # nats per code of the targets
    own_B: Doubles  # personal cover to its own history
    swapped_B: Doubles  # personal cover to the other windows' histories, in the mean
    plain_B: Doubles  # plain cover to the history
    reference_B: Doubles
    plain_reference_B: Doubles
    canaries: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Rounded numbers for a card."""
        means = {name.removesuffix("_B"): float(value.mean()) for name, value in vars(self).items() if name.endswith("_B")}
        return {name: round(value, 5) for name, value in ({"loss": self.loss} | means | self.canaries).items()}

    def agreed(self, processes: Processes) -> "Check":
        """The main process's check in all of them."""
        body = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        found = processes.from_main(body)
        arrays = {name: np.array(value, dtype=np.float64) for name, value in found.items() if name.endswith("_B")}
        return Check(**(found | arrays))


@torch.no_grad()
def aside_loss(atelier: Atelier, pigeon: Pigeon, windows: Windows, processes: Processes) -> float:
    """Stage 1's loss on windows set aside, always under the same masks."""
    size = atelier.settings.batch_size
    total = -(-len(windows) // size)
    losses = []
    for number in processes.dealt(total):
        part = windows.part(list(range(number * size, min(len(windows), (number + 1) * size))))
        asked = atelier.covers.asked(part)
        seeds = seeds_of(atelier.settings.seed, _MASK_SEEDS, number, count=len(part))
        ratios = np.random.default_rng([atelier.settings.seed, _RATIOS, number]).random(len(part))
        masks = pigeon.draw_masks(asked, atelier.plan(torch.from_numpy(ratios), seeds, draws=True))
        loss = reconstruction_loss(pigeon.tokens, pigeon.prompt(asked, masks), asked.reference_BN)
        losses.append(torch.stack([loss * len(part), loss.new_tensor(float(len(part)))]))
    sums = processes.collected(torch.stack(losses), total).sum(dim=0)
    return float(sums[0] / sums[1])


@torch.no_grad()
def check_pigeon(atelier: Atelier, pigeon: Pigeon, windows: Windows, processes: Processes) -> Check:
    """Loss on all windows; covers of the first ``pigeon.check_windows``. Processes share the work and agree."""
    loss = aside_loss(atelier, pigeon, windows, processes)
    drawn = windows.part(list(range(min(atelier.settings.check_windows, len(windows)))))
    numbers = processes.dealt(len(drawn))
    seeds = seeds_of(atelier.settings.seed, _WRITE_SEEDS, count=len(drawn))
    codes = []
    for start in range(0, len(numbers), _AT_ONCE):
        mine = numbers[start : start + _AT_ONCE]
        asked, ratio_B = atelier.covers.asked(drawn.part(mine)), torch.full((len(mine),), _RATIO)
        both = [write(pigeon, asked, ratio_B, [seeds[n] for n in mine]) for write in (atelier.write, atelier.write_plain)]
        codes.append(torch.stack(both, dim=1))
    codes_B2N = processes.collected(torch.cat(codes), len(drawn))
    return _scored(atelier, drawn, codes_B2N, loss).agreed(processes)


def _scored(atelier: Atelier, windows: Windows, codes_B2N: Tensor, loss: float) -> Check:
    pixels = atelier.tokens.decode(codes_B2N[:, 0])
    looks, plain = atelier.encoder.embed_images(pixels), atelier.looks(codes_B2N[:, 1])
    own, reference = atelier.similarities(looks, windows)
    plain_own, plain_reference = atelier.similarities(plain, windows)
    histories_BHE = atelier.covers.vectors_IE.to(looks)[torch.from_numpy(windows.history_WH)]
    all_BB = torch.einsum("be,che->bc", looks, histories_BHE) / histories_BHE.shape[1]
    others = (all_BB.sum(dim=1) - own) / max(1, len(windows) - 1)
    statistics = {name: float(statistic(pixels).mean()) for name, statistic in IMAGE_STATISTICS.items()}
    return Check(
        loss=loss,
        own_B=_doubles(own),
        swapped_B=_doubles(others),
        plain_B=_doubles(plain_own),
        reference_B=_doubles(reference),
        plain_reference_B=_doubles(plain_reference),
        canaries=statistics | {"diversity": float(torch.pdist(looks).mean())},
    )


def _doubles(values_B: Tensor) -> Doubles:
    found: Doubles = values_B.double().cpu().numpy()
    return found
