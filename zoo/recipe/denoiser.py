"""Trains the latent denoiser on the frozen dual encoder's text states and pooled embedding.

Knows latents, texts and the noise schedule. Run: ``python -m zoo.recipe denoiser`` after ``vae`` and ``encoder``; writes
zoo/denoiser/unet and the files around it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from torch import Tensor

from icg_tasks.world.attributes import ATTRIBUTE_VALUES
from icg_tasks.world.eye import AttributeClassifier
from zoo.recipe.encoder import WIDTH
from zoo.recipe.judges import attribute_hits
from zoo.recipe.pool import held_out_pool, pixels, text_for, texts_for, title_subjects, training_pool
from zoo.recipe.sampling import (
    NUM_STEPS,
    Conditions,
    Sampler,
    conditions,
    load_text_encoder,
    load_vae,
    scheduler,
    write_model_index,
)
from zoo.recipe.vae import LATENT_CHANNELS
from zoo.recipe.workshop import CACHE, ZOO, Plan, device, half_precision, log, replace_folder, train

_BATCH_PER_PROCESS: Final = 32
_MIX: Final = {"caption": 0.45, "partial": 0.25, "title": 0.2, "null": 0.1}
_WEIGHT_CEILING: Final = 5.0
_TIME_WIDTH: Final = 32
PLAN: Final = Plan(
    name="denoiser", steps=4400, learning_rate=1e-3, warmup=200, average_decay=0.998, export_every=500, save_every=250, seed=17
)


def build() -> UNet2DConditionModel:
    """A fresh denoiser of about 4.1 M parameters."""
    torch.manual_seed(PLAN.seed)
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        addition_embed_type="text_time",
        addition_time_embed_dim=_TIME_WIDTH,
        projection_class_embeddings_input_dim=WIDTH + 6 * _TIME_WIDTH,
    )
    if device().type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward pass is a fifth of a step slower on processors
    return unet


@torch.no_grad()
def _latents() -> Tensor:
    """Scaled latents of the training pool (N, C, 16, 16), encoded once per autoencoder and then read from the cache."""
    vae = load_vae()
    scale = float(vae.config.scaling_factor)
    cached = CACHE / f"latents_{scale:.6f}.npy"
    if cached.exists():
        return torch.from_numpy(np.load(cached, allow_pickle=False)).to(device())
    images = training_pool().images
    chunks = []
    for start in range(0, len(images), 64):
        with half_precision():
            chunks.append(vae.encode(pixels(images[start : start + 64]) * 2 - 1).latent_dist.mode().float() * scale)
    latents = torch.cat(chunks)
    np.save(cached, latents.cpu().numpy())
    return latents


def _loss(unet: UNet2DConditionModel, latents: Tensor, told: Conditions, alphas: Tensor) -> Tensor:
    """v-prediction error; weight min(snr + 1, 5) in terms of the clean latent, so that pure noise still counts."""
    times = torch.randint(0, len(alphas), (len(latents),), device=latents.device)
    alpha = alphas[times].view(-1, 1, 1, 1)
    noise = torch.randn_like(latents)
    noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
    target = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
    with half_precision():
        predicted = unet(noisy, times, encoder_hidden_states=told.states, added_cond_kwargs=told.added()).sample
    weight = (_WEIGHT_CEILING * (1 - alpha)).clamp(max=1.0)
    error: Tensor = predicted.float() - target
    return (weight * error.square()).mean()


def measure(sampler: Sampler, eye: AttributeClassifier, count: int = 128, *, steps: int = NUM_STEPS) -> dict[str, float]:
    """Shares of attributes an independent classifier reads as asked, from held-out full captions and titles."""
    pool = held_out_pool(count)
    rng = np.random.default_rng(99)
    captions = [text_for("caption", row, rng, held_out=True).text for row in pool.indices]
    titles, subjects = title_subjects(count, 6)
    drawn = sampler(captions, steps=steps, seed=1)
    hits = attribute_hits(eye, drawn, torch.from_numpy(pool.indices).to(device())).float().mean(dim=0)
    from_titles = sampler(titles, steps=steps, seed=2)
    asked = torch.zeros((count, 5), dtype=torch.long, device=device())
    asked[:, 0] = torch.from_numpy(subjects)
    figures = {f"caption_{name}": float(value) for name, value in zip(ATTRIBUTE_VALUES, hits, strict=True)}
    return figures | {"title_subject": float(attribute_hits(eye, from_titles, asked)[:, 0].float().mean())}


def picture_grid(images: Tensor, columns: int, zoom: int = 2) -> Image.Image:
    """Tile covers (B, 3, H, W) into one picture with thin white gaps."""
    tiles = (images.cpu().permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    tiles = np.pad(tiles, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    rows = [np.concatenate(list(tiles[start : start + columns]), axis=1) for start in range(0, len(tiles), columns)]
    picture = Image.fromarray(np.concatenate(rows))
    return picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.LANCZOS)


def _export(unet: UNet2DConditionModel, step: int) -> None:
    sampler = Sampler(unet=unet, vae=load_vae(), text_encoder=load_text_encoder())
    rng = np.random.default_rng(4)
    rows = held_out_pool(48).indices
    texts = [text_for("caption", row, rng, held_out=True).text for row in rows[:32]] + title_subjects(16, 8)[0]
    picture_grid(sampler(texts), columns=8).save(CACHE / f"denoiser_{step}.png")
    if (ZOO / "judge" / "config.json").exists():
        eye = AttributeClassifier.from_folder(ZOO / "judge").to(device())
        log(f"denoiser step {step}: " + " ".join(f"{k} {v:.3f}" for k, v in measure(sampler, eye, 48).items()))
    replace_folder(ZOO / "denoiser" / "unet", lambda folder: unet.half().save_pretrained(folder))
    write_model_index(ZOO / "denoiser")


def run() -> None:
    """Train and export the denoiser."""
    pool = training_pool()
    latents = _latents()
    text_encoder = load_text_encoder()
    alphas = scheduler().alphas_cumprod.to(device())

    def loss_of(unet: UNet2DConditionModel, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = np.sort(rng.integers(len(latents), size=_BATCH_PER_PROCESS))
        texts = texts_for(_MIX, pool.indices[rows], rng)
        told = conditions(text_encoder, [one.text for one in texts])
        return _loss(unet, latents[torch.from_numpy(rows)], told, alphas), {}

    train(PLAN, build(), loss_of, _export)
