"""Tiny random-weight checkpoints of every denoiser family, in diffusers' pipeline layout, tokenizers trained on the spot.

``TINY_DENOISERS[family](folder, seed)`` writes one; the same seed writes the same weights. Images of 32 pixels (or 64),
latents a quarter of that.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LCMScheduler,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    PNDMScheduler,
    SchedulerMixin,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from tests.backbones.denoisers.tiny_parts import tiny_clip, tiny_clip_tokenizer, tiny_t5, tiny_t5_tokenizer, tiny_unet, tiny_vae

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def write_sd15(folder: Path, seed: int, *, consistent: bool = False) -> None:
    """PNDM, as Stable Diffusion 1.5 comes; ``consistent``: distilled into a latent consistency model."""
    with _seeded(seed):
        text = tiny_clip(CLIPTextModel, 24)
        scheduler = LCMScheduler(**BETAS) if consistent else PNDMScheduler(skip_prk_steps=True, steps_offset=1, **BETAS)
        StableDiffusionPipeline(
            unet=tiny_unet(text.config.hidden_size, **({"time_cond_proj_dim": 16} if consistent else {})),
            vae=tiny_vae(4),
            text_encoder=text,
            tokenizer=tiny_clip_tokenizer(),
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)


def write_sdxl(folder: Path, seed: int, *, scheduler: SchedulerMixin | None = None) -> None:
    """Both text encoders, Euler unless another is given."""
    with _seeded(seed):
        pooled = 16
        unet = tiny_unet(
            24 + 16,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=pooled + 6 * 8,
        )
        StableDiffusionXLPipeline(
            unet=unet,
            vae=tiny_vae(4),
            text_encoder=tiny_clip(CLIPTextModel, 24),
            text_encoder_2=tiny_clip(CLIPTextModelWithProjection, 16, pooled),
            tokenizer=tiny_clip_tokenizer(),
            tokenizer_2=tiny_clip_tokenizer(),
            scheduler=scheduler or EulerDiscreteScheduler(steps_offset=1, timestep_spacing="leading", **BETAS),
            add_watermarker=False,
        ).save_pretrained(folder)


def write_sd3(folder: Path, seed: int, *, t5: bool = True, stochastic: bool = False) -> None:
    """Two CLIPs, and T5 unless it is left out; ``stochastic``: fresh noise at every step."""
    with _seeded(seed):
        transformer = SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=48,
            caption_projection_dim=32,
            pooled_projection_dim=16 + 24,
            pos_embed_max_size=16,
        )
        StableDiffusion3Pipeline(
            transformer=transformer,
            vae=tiny_vae(16, scaling_factor=1.5, shift_factor=0.06),
            text_encoder=tiny_clip(CLIPTextModelWithProjection, 16, 16),
            text_encoder_2=tiny_clip(CLIPTextModelWithProjection, 24, 24),
            text_encoder_3=tiny_t5(48) if t5 else None,
            tokenizer=tiny_clip_tokenizer(),
            tokenizer_2=tiny_clip_tokenizer(),
            tokenizer_3=tiny_t5_tokenizer() if t5 else None,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, stochastic_sampling=stochastic),
        ).save_pretrained(folder)


def write_pixart_sigma(folder: Path, seed: int) -> None:
    """T5 with its mask, learned variance, DPM-Solver++."""
    with _seeded(seed):
        transformer = PixArtTransformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            cross_attention_dim=32,
            caption_channels=40,
            use_additional_conditions=False,
        )
        PixArtSigmaPipeline(
            transformer=transformer,
            vae=tiny_vae(4),
            text_encoder=tiny_t5(40),
            tokenizer=tiny_t5_tokenizer(),
            scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear"),
        ).save_pretrained(folder)


def write_flux(folder: Path, seed: int, *, distilled: bool = True) -> None:
    """T5 and pooled CLIP; ``distilled``: guidance is an input of the transformer."""
    with _seeded(seed):
        transformer = FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=40,
            pooled_projection_dim=24,
            guidance_embeds=distilled,
            axes_dims_rope=(4, 6, 6),
        )
        FluxPipeline(
            transformer=transformer,
            vae=tiny_vae(16, scaling_factor=0.36, shift_factor=0.12),
            text_encoder=tiny_clip(CLIPTextModel, 24),
            text_encoder_2=tiny_t5(40),
            tokenizer=tiny_clip_tokenizer(),
            tokenizer_2=tiny_t5_tokenizer(),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        ).save_pretrained(folder)


TINY_DENOISERS: dict[str, Callable[[Path, int], None]] = {
    "sd15": write_sd15,
    "sdxl": write_sdxl,
    "sd3": write_sd3,
    "pixart_sigma": write_pixart_sigma,
    "flux": write_flux,
}
"""Family to a function that writes its checkpoint: folder, seed."""


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Weights drawn inside depend on the seed alone, and nobody outside notices."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
