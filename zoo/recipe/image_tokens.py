"""Trains the image tokenizer of the token model: 64 x 64 pixels to 8 x 8 tokens and back, in the VQ format of Janus.

The codebook is not learned: its rows are the corners of a cube on the unit sphere (binary spherical quantisation, arXiv
2406.07548), so no code can die, and nearest neighbours are signs. Knows covers only.
Run: ``python -m zoo.recipe image_tokens``; writes .cache/zoo/image_tokens, which the part ``janus`` takes in.
Legend: B images, Z bits of a code, H W the grid of tokens.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import JanusVQVAE, JanusVQVAEConfig

from zoo.recipe.pool import Pool, held_out_pool, pixels, training_pool
from zoo.recipe.workshop import CACHE, Plan, device, half_precision, log, portions, replace_folder, train

BITS: Final = 10
GRID: Final = 8
FOLDER: Final = CACHE / "image_tokens"
WEIGHTS: Final = "model.safetensors"
_BATCH: Final = 16
_ENTROPY_WEIGHT: Final = 0.02
_SHARPNESS: Final = 6.0
PLAN: Final = Plan(
    name="image_tokens",
    steps=1600,
    learning_rate=2e-3,
    average_decay=0.995,
    weight_decay=0.0,
    save_every=100,
    export_every=400,
    seed=61,
)


def vq_config(token_width: int) -> JanusVQVAEConfig:
    """The tokenizer of about 0.9 M parameters; ``token_width`` is that of the language model it will stand in."""
    return JanusVQVAEConfig(
        embed_dim=BITS,
        num_embeddings=2**BITS,
        latent_channels=64,
        base_channels=32,
        channel_multiplier=[1, 1, 2, 2],
        num_res_blocks=1,
        num_patches=GRID,
        projection_dim=token_width,
        image_token_embed_dim=token_width,
        num_hidden_layers=2,
    )


def corners() -> Tensor:
    """The codebook [2 ** Z, Z]: row i has the signs of i's bits, length 1.

    >>> bool((corners().norm(dim=1) - 1).abs().max() < 1e-6)
    True
    """
    bits = (torch.arange(2**BITS)[:, None] >> torch.arange(BITS)) & 1
    return (bits.float() * 2 - 1) / BITS**0.5


def build() -> JanusVQVAE:
    """A fresh tokenizer with the fixed codebook."""
    torch.manual_seed(PLAN.seed)
    model = JanusVQVAE(vq_config(64))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    with torch.no_grad():
        model.quantize.embedding.weight.copy_(corners())
    model.quantize.requires_grad_(False)
    return model


def _loss(model: JanusVQVAE, images: Tensor) -> tuple[Tensor, dict[str, float]]:
    with half_precision():
        raw_BZHW = model.quant_conv(model.encoder(images)).float()
        unit_BZHW = functional.normalize(raw_BZHW, dim=1)
        codes_BZHW = torch.where(unit_BZHW > 0, 1.0, -1.0) / BITS**0.5
        through = unit_BZHW + (codes_BZHW - unit_BZHW).detach()
        decoded = model.decoder(model.post_quant_conv(through)).float()
    error = decoded - images
    squared, absolute = error.square().mean(), error.abs().mean()
    chances = torch.sigmoid(_SHARPNESS * BITS**0.5 * unit_BZHW)
    sure, even = _entropy(chances), _entropy(chances.mean(dim=(0, 2, 3)))
    psnr = -10 * torch.log10(squared.detach() / 4)
    loss = absolute + 4 * squared + _ENTROPY_WEIGHT * (sure - even)
    return loss, {"psnr": float(psnr), "sure": float(sure.detach()), "even": float(even.detach())}


def _entropy(chances: Tensor) -> Tensor:
    """Mean entropy of coins, in nats."""
    kept = chances.clamp(1e-4, 1 - 1e-4)
    return -(kept * kept.log() + (1 - kept) * (1 - kept).log()).mean()


@torch.no_grad()
def encoded(model: JanusVQVAE, images: Tensor) -> Tensor:
    """Tokens [B, H * W] of pixels [B, 3, 64, 64] in 0 to 1, as the stock model finds them."""
    return torch.cat([model.encode(chunk * 2 - 1).image_tokens.view(len(chunk), -1) for chunk in portions(images, 64)])


def pool_codes(model: JanusVQVAE, pool: Pool) -> NDArray[np.int64]:
    """Tokens (N, H * W) of the training pool, found once per tokenizer and then read from the cache."""
    cached = CACHE / f"codes_{hashlib.file_digest((FOLDER / WEIGHTS).open('rb'), 'sha256').hexdigest()[:12]}.npy"
    if not cached.exists():
        parts = [encoded(model, pixels(pool.images[start : start + 512])) for start in range(0, len(pool.images), 512)]
        np.save(cached, torch.cat(parts).cpu().numpy())
    codes: NDArray[np.int64] = np.load(cached, allow_pickle=False)
    return codes


@torch.no_grad()
def decoded(model: JanusVQVAE, tokens: Tensor) -> Tensor:
    """Pixels in 0 to 1 of tokens [B, H * W], as the stock model draws them."""
    return torch.cat([((model.decode(chunk) + 1) / 2).clamp(0, 1) for chunk in portions(tokens, 64)])


def measure(model: JanusVQVAE, count: int = 512) -> dict[str, float]:
    """PSNR in dB over held-out covers after tokens and back, and the share of codes that these covers use."""
    images = pixels(held_out_pool(count).images)
    tokens = encoded(model, images)
    squared = (decoded(model, tokens) - images).square().mean()
    used = len(tokens.unique()) / model.config.num_embeddings
    return {"psnr_db": float(-10 * torch.log10(squared)), "codes_used": used}


def load() -> JanusVQVAE:
    """What the last export wrote, fp32, frozen, on the device."""
    model: JanusVQVAE = JanusVQVAE.from_pretrained(FOLDER, dtype=torch.float32)
    return model.eval().requires_grad_(False).to(device())


def _export(model: JanusVQVAE, step: int) -> None:
    log(f"image_tokens step {step}: " + " ".join(f"{name} {value:.3f}" for name, value in measure(model, 128).items()))
    replace_folder(FOLDER, model.save_pretrained)


def run() -> None:
    """Train and export the tokenizer."""
    pool = training_pool()

    def loss_of(model: JanusVQVAE, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = np.sort(rng.integers(len(pool.images), size=_BATCH))
        return _loss(model, pixels(pool.images[rows]) * 2 - 1)

    train(PLAN, build(), loss_of, _export)
