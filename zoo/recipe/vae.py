"""Trains the autoencoder between pixels and latents (four times smaller a side).

Knows covers only. Run: ``python -m zoo.recipe vae``; writes zoo/denoiser/vae.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from zoo.recipe.pool import held_out_pool, pixels, training_pool
from zoo.recipe.workshop import ZOO, Plan, half_precision, log, portions, replace_folder, train

LATENT_CHANNELS: Final = 4
_BATCH: Final = 16
_KL_WEIGHT: Final = 3e-5
_LATENT_NOISE: Final = 0.15
"""About a twentieth of the latents' deviation: the decoder has to forgive what a denoiser gets slightly wrong."""
PLAN: Final = Plan(name="vae", steps=3000, learning_rate=2e-3, average_decay=0.997, weight_decay=0.0, export_every=750)


def build() -> AutoencoderKL:
    """A fresh autoencoder of about 0.65 M parameters."""
    torch.manual_seed(PLAN.seed)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
        scaling_factor=1.0,
        force_upcast=False,
    )


def _loss(vae: AutoencoderKL, images: Tensor) -> tuple[Tensor, dict[str, float]]:
    with half_precision():
        posterior = vae.encode(images).latent_dist
        latents = posterior.sample()
        decoded = vae.decode(latents + _LATENT_NOISE * torch.randn_like(latents)).sample
    error = decoded.float() - images
    squared, absolute = error.square().mean(), error.abs().mean()
    kl = posterior.kl().float().mean() / (posterior.mean[0].numel())
    psnr = -10 * torch.log10(squared.detach() / 4)
    return absolute + 4 * squared + _KL_WEIGHT * kl, {"psnr": float(psnr), "kl": float(kl.detach())}


@torch.no_grad()
def peak_signal_to_noise(vae: AutoencoderKL, count: int = 512) -> float:
    """PSNR in dB over held-out covers, from the posterior's mean, fp32."""
    images = pixels(held_out_pool(count).images) * 2 - 1
    errors = []
    for chunk in portions(images, 64):
        decoded = vae.decode(vae.encode(chunk).latent_dist.mode()).sample.clamp(-1, 1)
        errors.append((decoded - chunk).square().mean())
    return float(-10 * torch.log10(torch.stack(errors).mean() / 4))


@torch.no_grad()
def _set_scale(vae: AutoencoderKL) -> None:
    pool = training_pool()
    latents = [vae.encode(pixels(pool.images[start : start + 64]) * 2 - 1).latent_dist.mode() for start in range(0, 1024, 64)]
    vae.register_to_config(scaling_factor=float(1 / torch.cat(latents).std()))


def _export(vae: AutoencoderKL, step: int) -> None:
    _set_scale(vae)
    log(f"vae step {step}: held-out PSNR {peak_signal_to_noise(vae, 128):.2f} dB, scaling {vae.config.scaling_factor:.4f}")
    (ZOO / "denoiser").mkdir(parents=True, exist_ok=True)
    replace_folder(ZOO / "denoiser" / "vae", lambda folder: vae.half().save_pretrained(folder))


def run() -> None:
    """Train and export the autoencoder."""
    pool = training_pool()

    def loss_of(vae: AutoencoderKL, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = np.sort(rng.integers(len(pool.images), size=_BATCH))
        return _loss(vae, pixels(pool.images[rows]) * 2 - 1)

    train(PLAN, build(), loss_of, _export)
