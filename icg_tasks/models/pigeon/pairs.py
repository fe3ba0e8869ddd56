"""Pairs for the second stage: of the covers written for a window, one per reference ratio, the best and the worst.

Better is by similarity to the history AND to the reference; pairs whose scores are closer than a margin are left out (both
differ from the released code: see DECISIONS). A pair's masks are drawn once, here: policy and start see the same prompt.
Legend: W windows, P pairs, B samples, H history, N codes of an image.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icg_tasks.models.pigeon.atelier import Atelier, ratio_sweep, seeds_of
from icg_tasks.models.pigeon.losses import LogChances
from icg_tasks.models.pigeon.masks import Masks
from icg_tasks.models.pigeon.model import Pigeon
from icg_tasks.models.pigeon.sequence import Asked, log_chance
from icg_tasks.models.pigeon.windows import Windows
from icg_tasks.models.training.processes import Processes

_DRAWS, _SHARES = 101, 102
_AT_ONCE = 32  # candidates


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """``window_P`` numbers the windows; ``start`` are the log chances before the stage's first step."""

    window_P: Tensor
    history_mask_PHN: Tensor
    reference_mask_PN: Tensor
    chosen_PN: Tensor
    rejected_PN: Tensor
    margin_P: Tensor
    start_chosen_P: Tensor
    start_rejected_P: Tensor

    def __len__(self) -> int:
        return len(self.window_P)

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return dict(vars(self))

    @classmethod
    def from_lists(cls, body: Mapping[str, Any], device: torch.device) -> "Pairs":
        """From plain numbers; floats come through exactly."""
        whole = {"window_P", "chosen_PN", "rejected_PN"}
        kinds = {name: torch.long if name in whole else torch.float32 for name in body}
        return cls(**{name: torch.tensor(values, dtype=kinds[name], device=device) for name, values in body.items()})

    def masks(self, rows: list[int]) -> Masks:
        """Of some pairs."""
        return Masks(history_BHN=self.history_mask_PHN[rows], reference_BN=self.reference_mask_PN[rows])

    def start(self, rows: list[int]) -> LogChances:
        """Of some pairs."""
        return LogChances(chosen_B=self.start_chosen_P[rows], rejected_B=self.start_rejected_P[rows])


@dataclass(frozen=True, kw_only=True)
class _Written:
    """Candidates of one window, one for each of R ratios."""

    codes_RN: Tensor
    score_R: Tensor


def log_chances(pigeon: Pigeon, asked: Asked, masks: Masks, chosen_BN: Tensor, rejected_BN: Tensor) -> LogChances:
    """Of both images of each pair under the one prompt that they share; differentiable."""
    prompt = pigeon.prompt(asked, masks)
    return LogChances(
        chosen_B=log_chance(pigeon.tokens, prompt, chosen_BN), rejected_B=log_chance(pigeon.tokens, prompt, rejected_BN)
    )


@torch.no_grad()
def make_pairs(
    atelier: Atelier,
    pigeon: Pigeon,
    windows: Windows,
    processes: Processes | None = None,
    after_each: Callable[[], None] | None = None,
) -> Pairs:
    """Candidates of the first ``pigeon.pair_windows`` windows, by stage 1's weights; several processes share the writing.

    ``after_each`` is called after every few windows, in all processes equally often.
    """
    together, settings = processes or Processes(), atelier.settings
    total = min(settings.pair_windows, len(windows))
    mine: list[Pairs] = []
    dealt, chunk = together.dealt(total), max(1, _AT_ONCE // settings.ratios)
    for start in range(0, len(dealt), chunk):
        mine += _pairs(atelier, pigeon, windows, dealt[start : start + chunk])
        if after_each is not None:
            after_each()
    columns = {name: together.collected(torch.stack([getattr(one, name) for one in mine]), total) for name in vars(mine[0])}
    wide_enough = (columns["margin_P"] >= settings.pair_min_margin).nonzero()[:, 0]
    return Pairs(**{name: column[wide_enough] for name, column in columns.items()})


def _pairs(atelier: Atelier, pigeon: Pigeon, windows: Windows, numbers: list[int]) -> list[Pairs]:
    """Best and worst candidate of some windows, all candidates written in one batch."""
    ratios = ratio_sweep(atelier.settings.ratios)
    count = len(ratios)
    seeds = [seeds_of(atelier.settings.seed, _DRAWS, number, count=count) for number in numbers]
    rows = [number for number in numbers for _ in ratios]
    asked = atelier.covers.asked(windows.part(rows))
    flat = [seed for mine in seeds for seed in mine]
    written = atelier.write(pigeon, asked, torch.tensor(ratios * len(numbers)), flat, atelier.own_sampling)
    score = atelier.score(*atelier.similarities(atelier.looks(written), windows.part(rows)))
    return [
        _pair(atelier, pigeon, windows, number, mine, _Written(codes_RN=codes, score_R=scores))
        for number, mine, codes, scores in zip(
            numbers, seeds, torch.split(written, count), torch.split(score, count), strict=True
        )
    ]


def _pair(atelier: Atelier, pigeon: Pigeon, windows: Windows, number: int, seeds: list[int], candidates: _Written) -> Pairs:
    """Best and worst candidate of one window; every field without its first axis."""
    settings, device = atelier.settings, atelier.tokens.compute.device
    asked = atelier.covers.asked(windows.part([number]))
    written, score = candidates.codes_RN, candidates.score_R
    best, worst = int(score.argmax()), int(score.argmin())
    share = float(np.random.default_rng([settings.seed, _SHARES, number]).random())
    masks = pigeon.draw_masks(asked, atelier.plan(torch.tensor([share]), seeds[:1]))
    chosen, rejected = written[best], written[worst]
    start = log_chances(pigeon, asked, masks, chosen[None], rejected[None])
    return Pairs(
        window_P=torch.tensor(number, device=device),
        history_mask_PHN=masks.history_BHN[0],
        reference_mask_PN=masks.reference_BN[0],
        chosen_PN=chosen,
        rejected_PN=rejected,
        margin_P=score[best] - score[worst],
        start_chosen_P=start.chosen_B[0],
        start_rejected_P=start.rejected_B[0],
    )
