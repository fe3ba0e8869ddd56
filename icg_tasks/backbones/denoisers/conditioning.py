"""What a denoiser is told, and what every denoiser family answers. Knows no family.

Legend: B images, L conditioning positions, C conditioning width, P pooled width, N latent channels, H W latent sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ConditioningShape:
    """What a denoiser wants: a sequence [B, L, C] and a pooled vector [B, P]; ``pooled`` 0 = it takes no vector.

    ``masked``: its own text encoder says which positions count. Who tells it something else need not: without a mask all
    positions count, so an adapter fits by length and widths alone, and ``masked`` is not compared.
    """

    length: int
    width: int
    pooled: int
    masked: bool = field(default=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """What a batch of images is made from. Row b of all tensors belongs to image b."""

    sequence: Tensor  # [B, L, C]
    pooled: Tensor  # [B, P]
    mask: Tensor | None = None  # [B, L], 1 = the position counts, 0 = it does not; None = all count

    def __len__(self) -> int:
        return len(self.sequence)

    def rows(self, rows: slice | Tensor) -> "Conditioning":
        """The same for some of the images."""
        mask = None if self.mask is None else self.mask[rows]
        return Conditioning(sequence=self.sequence[rows], pooled=self.pooled[rows], mask=mask)

    def expand(self, count: int) -> "Conditioning":
        """One row for ``count`` images."""
        mask = None if self.mask is None else self.mask.expand(count, -1)
        return Conditioning(sequence=self.sequence.expand(count, -1, -1), pooled=self.pooled.expand(count, -1), mask=mask)

    def detach(self) -> "Conditioning":
        """Without gradient."""
        return Conditioning(sequence=self.sequence.detach(), pooled=self.pooled.detach(), mask=self.mask)

    def counted(self) -> Tensor:
        """The mask [B, L] as numbers, ones where there is none."""
        if self.mask is None:
            return self.sequence.new_ones(self.sequence.shape[:2])
        return self.mask.to(self.sequence.dtype)


def join(parts: Sequence[Conditioning]) -> Conditioning:
    """All rows of several batches, in order."""
    masked = any(part.mask is not None for part in parts)
    return Conditioning(
        sequence=torch.cat([part.sequence for part in parts]),
        pooled=torch.cat([part.pooled for part in parts]),
        mask=torch.cat([part.counted() for part in parts]) if masked else None,
    )


def choose(first_B: Tensor, first: Conditioning, second: Conditioning) -> Conditioning:
    """Row by row ``first`` where ``first_B`` is true, else ``second``; either may be a single row for all."""
    masked = first.mask is not None or second.mask is not None
    return Conditioning(
        sequence=torch.where(first_B[:, None, None], first.sequence, second.sequence),
        pooled=torch.where(first_B[:, None], first.pooled, second.pooled),
        mask=torch.where(first_B[:, None], first.counted(), second.counted()) if masked else None,
    )


def squared_differences(found: Conditioning, wanted: Conditioning) -> tuple[Tensor, Tensor]:
    """Mean squared difference of the sequences, where ``wanted`` counts, and of the pooled vectors (0 where there are none)."""
    apart_BL = (found.sequence - wanted.sequence).square().mean(dim=-1)
    if wanted.mask is None:
        sequence = apart_BL.mean()
    else:
        counted_BL = wanted.counted()
        sequence = (apart_BL * counted_BL).sum() / counted_BL.sum().clamp(min=1.0)
    if not found.pooled.shape[-1]:
        return sequence, sequence.new_zeros(())
    return sequence, (found.pooled - wanted.pooled).square().mean()


def spread(values: Tensor) -> Tensor:
    """Standard deviation over everything; 0 where there is nothing (a denoiser without pooled vector)."""
    return values.std() if values.numel() > 1 else values.new_zeros(())


class Denoiser(Protocol):
    """A frozen latent diffusion model with its autoencoder and text encoder."""

    network: Any
    """The UNet or transformer itself; a LoRA may be put around it."""

    @property
    def lora_targets(self) -> tuple[str, ...]:
        """Names (ends of module paths) of the layers of ``network`` that a LoRA of this family adapts."""
        ...

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

    def checkpoint_gradients(self, enabled: bool) -> None:
        """Whether network and decoder compute their activations again in the backward pass instead of keeping them (off)."""
        ...

    def quicken(self, *, channels_last: bool, compiled: bool, lean: bool = False, onnx_cache: Path | None = None) -> None:
        """Options that change speed, and images by rounding alone (all off); for drawing, not for training."""
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
