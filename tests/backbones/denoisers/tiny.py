"""Tiny random-weight checkpoints of every denoiser family, in diffusers' pipeline layout, tokenizers trained on the spot.

``TINY_DENOISERS[family](folder, seed)`` writes one; the same seed writes the same weights. Images of 32 pixels (or 64),
latents a quarter of that.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import pre_tokenizers, trainers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

SIZE_PIXELS = 32
CLIP_LENGTH, T5_LENGTH = 8, 12
_TEXTS = ["a cover of a rocket, in neon colours", "a quiet harbour at dawn", "The Tree", "two cups and a lamp", "mountains"]
_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def write_sd15(folder: Path, seed: int) -> None:
    """PNDM, as Stable Diffusion 1.5 comes."""
    with _seeded(seed):
        text = _clip(CLIPTextModel, 24)
        StableDiffusionPipeline(
            unet=_unet(text.config.hidden_size),
            vae=_vae(4),
            text_encoder=text,
            tokenizer=_clip_tokenizer(),
            scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1, **_BETAS),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)


def write_sdxl(folder: Path, seed: int) -> None:
    """Both text encoders, Euler."""
    with _seeded(seed):
        pooled = 16
        unet = _unet(
            24 + 16,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=pooled + 6 * 8,
        )
        StableDiffusionXLPipeline(
            unet=unet,
            vae=_vae(4),
            text_encoder=_clip(CLIPTextModel, 24),
            text_encoder_2=_clip(CLIPTextModelWithProjection, 16, pooled),
            tokenizer=_clip_tokenizer(),
            tokenizer_2=_clip_tokenizer(),
            scheduler=EulerDiscreteScheduler(steps_offset=1, timestep_spacing="leading", **_BETAS),
            add_watermarker=False,
        ).save_pretrained(folder)


def write_sd3(folder: Path, seed: int, *, t5: bool = True) -> None:
    """Two CLIPs, and T5 unless it is left out."""
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
            vae=_vae(16, scaling_factor=1.5, shift_factor=0.06),
            text_encoder=_clip(CLIPTextModelWithProjection, 16, 16),
            text_encoder_2=_clip(CLIPTextModelWithProjection, 24, 24),
            text_encoder_3=_t5(48) if t5 else None,
            tokenizer=_clip_tokenizer(),
            tokenizer_2=_clip_tokenizer(),
            tokenizer_3=_t5_tokenizer() if t5 else None,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
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
            vae=_vae(4),
            text_encoder=_t5(40),
            tokenizer=_t5_tokenizer(),
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
            vae=_vae(16, scaling_factor=0.36, shift_factor=0.12),
            text_encoder=_clip(CLIPTextModel, 24),
            text_encoder_2=_t5(40),
            tokenizer=_clip_tokenizer(),
            tokenizer_2=_t5_tokenizer(),
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


def _unet(width: int, **added: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=width,
        **added,
    )


def _vae(channels: int, **scaling: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=SIZE_PIXELS,
        **scaling,
    )


def _clip(kind: Any, width: int, projection: int = 8) -> Any:
    words = _clip_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=projection,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CLIP_LENGTH,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return kind(config)


def _t5(width: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=len(_t5_tokenizer()),
        d_model=width,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return T5EncoderModel(config)


@cache
def _clip_tokenizer() -> CLIPTokenizer:
    """Byte-level BPE in CLIP's form; the end token has the last id, since id 2 would mean another way of pooling."""
    begin, end = "<|startoftext|>", "<|endoftext|>"
    learner = CLIPTokenizer().backend_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=640, end_of_word_suffix="</w>", show_progress=False, special_tokens=[begin, end])
    learner.train_from_iterator(_TEXTS, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters), *(first + second for first, second in merges)]
    vocabulary = {piece: number for number, piece in enumerate([*dict.fromkeys(pieces), begin, end])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CLIP_LENGTH)


@cache
def _t5_tokenizer() -> T5Tokenizer:
    """Unigram pieces in T5's form, every ASCII letter among them."""
    learner = T5Tokenizer(extra_ids=0).backend_tokenizer
    trainer = trainers.UnigramTrainer(
        vocab_size=160, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
        initial_alphabet=[chr(code) for code in range(33, 127)],
    )  # fmt: skip
    learner.train_from_iterator(_TEXTS * 4, trainer)
    vocabulary = [(piece, score) for piece, score in json.loads(learner.to_str())["model"]["vocab"]]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=T5_LENGTH)
