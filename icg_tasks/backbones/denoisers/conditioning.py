"""What a denoiser is told, and what every denoiser family answers. Knows no family.

Legend: B images, L conditioning positions, C conditioning width, P pooled width, N latent channels, H W latent sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ConditioningShape:
    """What a denoiser wants: a sequence [B, L, C] and a pooled vector [B, P]."""

    length: int
    width: int
    pooled: int


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """What a batch of images is made from. Row b of both tensors belongs to image b."""

    sequence: Tensor  # [B, L, C]
    pooled: Tensor  # [B, P]

    def __len__(self) -> int:
        return len(self.pooled)

    def rows(self, rows: slice | Tensor) -> "Conditioning":
        """The same for some of the images."""
        return Conditioning(sequence=self.sequence[rows], pooled=self.pooled[rows])

    def expand(self, count: int) -> "Conditioning":
        """One row for ``count`` images."""
        return Conditioning(sequence=self.sequence.expand(count, -1, -1), pooled=self.pooled.expand(count, -1))

    def detach(self) -> "Conditioning":
        """Without gradient."""
        return Conditioning(sequence=self.sequence.detach(), pooled=self.pooled.detach())


def join(parts: Sequence[Conditioning]) -> Conditioning:
    """All rows of several batches, in order."""
    return Conditioning(
        sequence=torch.cat([part.sequence for part in parts]), pooled=torch.cat([part.pooled for part in parts])
    )


class Denoiser(Protocol):
    """A frozen latent diffusion model with its autoencoder and text encoder."""

    @property
    def shape(self) -> ConditioningShape:
        """What it wants to be told."""
        ...

    @property
    def size_pixels(self) -> int:
        """Height and width of its images."""
        ...

    @property
    def num_train_timesteps(self) -> int:
        """Times are whole numbers from 0 to this, exclusive."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Conditioning:
        """What its own text encoder would tell it."""
        ...

    def unconditional(self) -> Conditioning:
        """One row that says nothing, as the denoiser learned it."""
        ...

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """Starting noise [B, N, H, W], each image's from a generator of its own on the CPU."""
        ...

    def sample(
        self, conditioning: Conditioning, unconditional: Conditioning, noise_BNHW: Tensor, *, steps: int, guidance: float
    ) -> Tensor:
        """Latents [B, N, H, W] after ``steps`` guided steps; no gradient."""
        ...

    def sample_with_gradient(
        self,
        conditioning: Conditioning,
        unconditional: Conditioning,
        noise_BNHW: Tensor,
        *,
        steps: int,
        guidance: float,
        gradient_steps: int,
    ) -> Tensor:
        """Like ``sample``; the last ``gradient_steps`` steps carry a gradient into the conditioning."""
        ...

    def decode(self, latents_BNHW: Tensor) -> Tensor:
        """Pixels [B, 3, height, width] in [0, 1]; the clamp lets gradients through unchanged."""
        ...

    def encode_images(self, pixels_BCHW: Tensor) -> Tensor:
        """Latents [B, N, H, W] of pixels in [0, 1]; no gradient."""
        ...

    def denoising_loss(self, latents_BNHW: Tensor, conditioning: Conditioning, noise_BNHW: Tensor, times_B: Tensor) -> Tensor:
        """Squared error of the prediction per image [B], weighted so that no time dominates."""
        ...
