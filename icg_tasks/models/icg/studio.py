"""Everything frozen that an adapter is trained against, and the few things done with it: read, draw, score.

Knows models; no data set and no loss. Legend: B images, K meta tokens, D language width, E encoder width, V user vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from icg_tasks.backbones.denoisers.conditioning import Conditioning, Denoiser
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.images import pil_to_pixels
from icg_tasks.backbones.language.reading import LanguageModel, Reading
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.rewards.context import RewardModels


@dataclass
class Studio:
    """Frozen backbones and judges."""

    language: LanguageModel
    denoiser: Denoiser
    judges: RewardModels
    compute: Compute
    guidance: float
    steps: int  # of a sample in training and checks; served covers take ``covers.steps``
    unconditional: Conditioning = field(init=False)

    def __post_init__(self) -> None:
        self.unconditional = self.denoiser.unconditional()

    def read(self, items: Catalogue, adapter: IcgAdapter) -> Reading:
        """What the language model makes of the items, before the meta tokens."""
        return self.language.read(items.titles, items.images, adapter.config.num_meta_tokens)

    def states(self, adapter: IcgAdapter, reading: Reading, repeats: int = 1) -> Tensor:
        """Meta token states of each item, ``repeats`` rows in a row for each [B * repeats, K, D]."""
        return self.language.states(reading, adapter.meta_tokens).repeat_interleave(repeats, dim=0)

    def draw(self, told: Conditioning, noise_BNHW: Tensor, gradient_steps: int = 0) -> Tensor:
        """Pixels [B, 3, H, W]; differentiable in ``told`` through the last ``gradient_steps`` steps."""
        latents = self.denoiser.sample_with_gradient(
            told,
            self.unconditional,
            noise_BNHW,
            steps=self.steps,
            guidance=self.guidance,
            gradient_steps=gradient_steps,
        )
        return self.denoiser.decode(latents)

    def pixels(self, images: Sequence[Image.Image]) -> Tensor:
        """Pixels [B, 3, side, side] of covers, each squeezed to the denoiser's own size."""
        side = self.denoiser.size_pixels
        pixels = [pil_to_pixels(image.resize((side, side), Image.Resampling.BICUBIC)) for image in images]
        return torch.cat(pixels).to(self.compute.device)

    def latents(self, images: Sequence[Image.Image]) -> Tensor:
        """Latents of covers, squeezed likewise."""
        return self.denoiser.encode_images(self.pixels(images))
