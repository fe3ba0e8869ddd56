"""Damages covers as generators and cameras do: blur, noise, colour shifts, coarse grids, muddled patches, clashing colours.

Knows pixels only. Images are float (B, 3, H, W) in 0 to 1; nothing to run here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def blur(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with a twice averaged copy; ``strength`` (B,) from 0 to 1."""
    soft = images
    for _ in range(2):
        soft = functional.avg_pool2d(functional.pad(soft, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return images.lerp(soft, _column(strength))


def noise(images: Tensor, strength: Tensor) -> Tensor:
    """Gaussian noise of deviation 0.25 at full strength."""
    return images + torch.randn_like(images) * 0.25 * _column(strength)


def coarse(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with a copy brought down to half the side and back, as a small latent does."""
    small = functional.interpolate(images, scale_factor=0.5, mode="area")
    return images.lerp(functional.interpolate(small, size=images.shape[-2:], mode="bilinear"), _column(strength))


def muddle(images: Tensor, strength: Tensor, patch: int = 8) -> Tensor:
    """Swap patches at random places; at full strength half of them.

    The grid of patches stands half a patch off a vision tower's, which would not notice whole patches change places.
    """
    count, _, height, width = images.shape
    offset = patch // 2
    tiles = functional.unfold(images.roll((offset, offset), dims=(2, 3)), patch, stride=patch)
    shuffled = tiles[:, :, torch.randperm(tiles.shape[2])]
    moved = torch.rand(count, 1, tiles.shape[2]) < strength.view(-1, 1, 1).cpu() * 0.5
    mixed = torch.where(moved.to(images.device), shuffled, tiles)
    return functional.fold(mixed, (height, width), patch, stride=patch).roll((-offset, -offset), dims=(2, 3))


def clash(images: Tensor, strength: Tensor) -> Tensor:
    """Turn the colours of half the picture into their opposites, so that they no longer belong together."""
    coordinates = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    angle = torch.rand(len(images), device=images.device) * 2 * torch.pi
    side = _column(angle.cos()) * coordinates.view(1, 1, 1, -1) + _column(angle.sin()) * coordinates.view(1, 1, -1, 1)
    return images.lerp(1 - images, _column(strength) * (side > 0).float())


def tint(images: Tensor, strength: Tensor) -> Tensor:
    """Gain and offset per channel, up to a tenth each."""
    shape = (len(images), 3, 1, 1)
    gain = 1 + (torch.rand(shape, device=images.device) - 0.5) * 0.2 * _column(strength)
    return images * gain + (torch.rand(shape, device=images.device) - 0.5) * 0.2 * _column(strength)


def strengths(count: int, share: float, rng: np.random.Generator) -> Tensor:
    """Zero for most, uniform in 0 to 1 for a ``share`` of the images; (count,)."""
    drawn = rng.random(count) * (rng.random(count) < share)
    return torch.from_numpy(drawn).float()


def augmented(images: Tensor, rng: np.random.Generator, *, softness: float, grain: float, colour: float) -> Tensor:
    """The training augmentation of a classifier: each share says how often blur and coarseness, noise, and tint occur."""
    count, where = len(images), images.device
    images = blur(images, strengths(count, softness, rng).to(where))
    images = coarse(images, strengths(count, softness, rng).to(where))
    images = tint(images, strengths(count, colour, rng).to(where))
    return noise(images, strengths(count, grain, rng).to(where) * 0.5).clamp(0, 1)
