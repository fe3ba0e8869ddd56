"""What Pigeon works with: the codes and vectors of a catalogue's covers, the encoder that compares, and how covers are written.

Knows models and settings; no data set. Legend: I catalogue items, W windows, B samples, H history, N codes, E encoder width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.tokens.writing import Sampling, TokenModel
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.pigeon.masks import MaskPlan
from icg_tasks.models.pigeon.model import Pigeon
from icg_tasks.models.pigeon.sequence import Asked, plain_prompt
from icg_tasks.models.pigeon.windows import Windows


@dataclass(frozen=True, kw_only=True)
class Covers:
    """A catalogue as codes [I, N], unit image vectors [I, E] and titles."""

    codes_IN: Tensor
    vectors_IE: Tensor
    titles: Sequence[str]

    @classmethod
    def of(cls, tokens: TokenModel, catalogue: Catalogue) -> "Covers":
        """Every cover encoded once."""
        width = catalogue.vectors_NV.shape[1] // 2
        return cls(
            codes_IN=tokens.encode(catalogue.images),
            vectors_IE=torch.from_numpy(catalogue.vectors_NV[:, :width].copy()).to(tokens.compute.device),
            titles=catalogue.titles,
        )

    def asked(self, windows: Windows) -> Asked:
        """For each window its history, and the target as the reference."""
        targets = windows.target_W.tolist()
        return Asked(
            history_BHN=self.codes_IN[torch.from_numpy(windows.history_WH)],
            reference_BN=self.codes_IN[targets],
            titles=[self.titles[row] for row in targets],
        )


@dataclass(frozen=True, kw_only=True)
class Atelier:
    """Everything frozen besides Pigeon's own weights."""

    tokens: TokenModel
    covers: Covers
    encoder: DualEncoder
    settings: PigeonSettings

    @property
    def sampling(self) -> Sampling:
        """As covers are served."""
        return Sampling(top_k=self.settings.top_k, temperature=self.settings.temperature, guidance=self.settings.guidance)

    @property
    def own_sampling(self) -> Sampling:
        """As the model's chances are, neither cooled nor guided: what pairwise alignment compares must be likely under it."""
        return Sampling(top_k=self.settings.top_k, temperature=1.0, guidance=1.0)

    def plan(self, ratio_B: Tensor, seeds: Sequence[int], *, draws: bool = False) -> MaskPlan:
        """Masks of the settings' kind, with these shares of the reference hidden."""
        return MaskPlan(
            reference_ratio_B=ratio_B.to(self.tokens.compute.device),
            seeds=seeds,
            history_ratio=self.settings.history_mask_ratio,
            kind=self.settings.history_mask,
            draws=draws,
        )

    @torch.no_grad()
    def write(
        self, pigeon: Pigeon, asked: Asked, ratio_B: Tensor, seeds: Sequence[int], sampling: Sampling | None = None
    ) -> Tensor:
        """Codes [B, N] of covers for the users whose history it is; as covers are served unless told otherwise."""
        masks = pigeon.draw_masks(asked, self.plan(ratio_B, seeds))
        return self.tokens.write(pigeon.prompt(asked, masks), seeds, sampling or self.sampling)

    @torch.no_grad()
    def write_plain(self, pigeon: Pigeon, asked: Asked, ratio_B: Tensor, seeds: Sequence[int]) -> Tensor:
        """Codes [B, N] of covers for nobody special: the same references as hidden, no history."""
        masks = pigeon.draw_masks(asked, self.plan(ratio_B, seeds))
        return self.tokens.write(plain_prompt(self.tokens, asked, masks.reference_BN), seeds, self.sampling)

    @torch.no_grad()
    def looks(self, codes_BN: Tensor) -> Tensor:
        """Unit image vectors [B, E] of covers in codes."""
        return self.encoder.embed_images(self.tokens.decode(codes_BN))

    def similarities(self, looks_BE: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
        """Mean cosine to the history and cosine to the target's own cover [B], each."""
        vectors = self.covers.vectors_IE.to(looks_BE)
        history_BHE = vectors[torch.from_numpy(windows.history_WH)]
        to_history = (history_BHE * looks_BE[:, None]).sum(dim=-1).mean(dim=1)
        return to_history, (vectors[windows.target_W.tolist()] * looks_BE).sum(dim=-1)

    def score(self, to_history_B: Tensor, to_reference_B: Tensor) -> Tensor:
        """What candidates are compared by: both similarities, weighted."""
        share = self.settings.reference_weight
        return share * to_reference_B + (1 - share) * to_history_B


def ratio_sweep(count: int) -> list[float]:
    """Reference mask ratios from 0 to 1, evenly.

    >>> ratio_sweep(11)[3], ratio_sweep(1)
    (0.3, [0.5])
    """
    return [round(number / (count - 1), 6) for number in range(count)] if count > 1 else [0.5]


def seeds_of(seed: int, *numbers: int, count: int) -> list[int]:
    """``count`` seeds that hang on the numbers alone."""
    drawn: NDArray[np.int64] = np.random.default_rng([seed, *numbers]).integers(2**62, size=count)
    return [int(value) for value in drawn]
