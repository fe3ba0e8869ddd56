"""Few-step sampling with the zoo's denoiser: texts in, pixels out. The recipe's own yardstick, not the product's engine.

Does not know training. Nothing to run here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModelWithProjection

from zoo.recipe.encoder import tokens
from zoo.recipe.workshop import ZOO, device, half_precision, portions

TIME_IDS: Final = (64.0, 64.0, 0.0, 0.0, 64.0, 64.0)
NUM_STEPS: Final = 8
GUIDANCE: Final = 2.0


def scheduler() -> DDIMScheduler:
    """DDIM, v-prediction, zero terminal signal, trailing spacing."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=0,
    )


def load_vae(folder: Path = ZOO / "denoiser" / "vae") -> AutoencoderKL:
    """The autoencoder, fp32, frozen, on the device."""
    vae: AutoencoderKL = AutoencoderKL.from_pretrained(folder, dtype=torch.float32)
    return vae.eval().requires_grad_(False).to(device())


def load_text_encoder(folder: Path = ZOO / "denoiser" / "text_encoder_2") -> CLIPTextModelWithProjection:
    """The text half of the dual encoder, fp32, frozen, on the device."""
    model: CLIPTextModelWithProjection = CLIPTextModelWithProjection.from_pretrained(folder, dtype=torch.float32)
    return model.eval().requires_grad_(False).to(device())


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """``states`` (B, 32, 128) and ``pooled`` (B, 128): what the denoiser is told."""

    states: Tensor
    pooled: Tensor

    def added(self) -> dict[str, Tensor]:
        """The extra conditions in SDXL's form."""
        times = torch.tensor(TIME_IDS, device=self.pooled.device).expand(len(self.pooled), 6)
        return {"text_embeds": self.pooled, "time_ids": times}


@torch.no_grad()
def conditions(text_encoder: CLIPTextModelWithProjection, texts: list[str]) -> Conditions:
    """Text states and projected embedding of each text."""
    outputs = [text_encoder(input_ids=chunk) for chunk in portions(tokens(texts), 128)]
    states = torch.cat([one.last_hidden_state for one in outputs]).float()
    return Conditions(states=states, pooled=torch.cat([one.text_embeds for one in outputs]).float())


@torch.no_grad()
def sample_latents(
    unet: UNet2DConditionModel,
    told: Conditions,
    null: Conditions,
    *,
    steps: int = NUM_STEPS,
    guidance: float = GUIDANCE,
    seed: int = 0,
) -> Tensor:
    """Scaled latents (B, C, 16, 16) after guided DDIM steps; the noise depends on the seed and the row only."""
    count = len(told.pooled)
    channels = int(unet.config.in_channels)
    generators = [torch.Generator().manual_seed(seed * 100_003 + row) for row in range(count)]
    noise = [torch.randn((channels, 16, 16), generator=generator) for generator in generators]
    latents = torch.stack(noise).to(told.pooled.device)
    both = Conditions(
        states=torch.cat([told.states, null.states.expand_as(told.states)]),
        pooled=torch.cat([told.pooled, null.pooled.expand_as(told.pooled)]),
    )
    ddim = scheduler()
    ddim.set_timesteps(steps)
    for time in ddim.timesteps:
        with half_precision():
            twice = torch.cat([latents, latents])
            predicted = unet(twice, time, encoder_hidden_states=both.states, added_cond_kwargs=both.added()).sample
        said, unsaid = predicted.float().chunk(2)
        latents = ddim.step(unsaid + guidance * (said - unsaid), time, latents).prev_sample
    return latents


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Pixels (B, 3, 64, 64) in 0 to 1."""
    images: Tensor = vae.decode(latents / vae.config.scaling_factor).sample.float()
    return (images / 2 + 0.5).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Everything needed to turn texts into covers."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModelWithProjection

    def __call__(self, texts: list[str], *, steps: int = NUM_STEPS, guidance: float = GUIDANCE, seed: int = 0) -> Tensor:
        """One cover per text, (B, 3, 64, 64) in 0 to 1."""
        null = conditions(self.text_encoder, [""])
        images = []
        for start in range(0, len(texts), 64):
            told = conditions(self.text_encoder, texts[start : start + 64])
            latents = sample_latents(self.unet, told, null, steps=steps, guidance=guidance, seed=seed + start)
            images.append(decode(self.vae, latents))
        return torch.cat(images)


def load_sampler(folder: Path = ZOO / "denoiser") -> Sampler:
    """The shipped denoiser, fp32, on the device."""
    unet: UNet2DConditionModel = UNet2DConditionModel.from_pretrained(folder / "unet", dtype=torch.float32)
    text_encoder = load_text_encoder(folder / "text_encoder_2")
    return Sampler(unet=unet.eval().to(device()), vae=load_vae(folder / "vae"), text_encoder=text_encoder)


def write_model_index(folder: Path) -> None:
    """The file by which StableDiffusionXLPipeline finds its parts, and the scheduler's folder."""
    scheduler().save_pretrained(folder / "scheduler")
    nothing: list[Any] = [None, None]
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "_diffusers_version": "0.42.1",
        "add_watermarker": False,
        "feature_extractor": nothing,
        "force_zeros_for_empty_prompt": False,
        "image_encoder": nothing,
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": nothing,
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": nothing,
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
