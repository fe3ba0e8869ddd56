"""Batches of a denoiser of public shape with random weights, beside one image at a time: what ``--device cuda`` measures.

No checkpoint is needed: speed does not hang on weights. Uses the product's own walk and decoding.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape
from icg_tasks.backbones.denoisers.schedules import NoiseSchedule
from icg_tasks.backbones.denoisers.unet import UnetDenoiser
from icg_tasks.backbones.device import Compute

_SD15 = {
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
_SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 2048,
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_SMALL = _SD15 | {"block_out_channels": (16, 16, 16, 16), "cross_attention_dim": 32, "norm_num_groups": 8}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A denoiser's configuration, the side of its images, widths of its conditioning, widths of its autoencoder."""

    unet: dict[str, Any]
    side: int
    width: int
    pooled: int
    vae: tuple[int, ...] = (128, 256, 512, 512)


SHAPES = {
    "small": Shape(unet=_SMALL, side=64, width=32, pooled=0, vae=(8, 8, 8, 8)),
    "sd15": Shape(unet=_SD15, side=512, width=768, pooled=0),
    "sdxl": Shape(unet=_SDXL, side=1024, width=2048, pooled=1280),
}


class RandomUnet(UnetDenoiser):
    """A denoiser of a shape, its weights drawn at random on the device."""

    def __init__(self, shape: Shape, compute: Compute) -> None:
        self.compute, self.size_pixels, self.latent_side = compute, shape.side, shape.side // 8
        self.latent_channels = 4
        self.shape = ConditioningShape(length=77, width=shape.width, pooled=shape.pooled)
        self.schedule = NoiseSchedule(DDIMScheduler(), compute.device)
        with torch.device(compute.device):
            network = UNet2DConditionModel(sample_size=self.latent_side, **shape.unet)
            kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
            groups = min(32, shape.vae[0])
            vae = AutoencoderKL(block_out_channels=shape.vae, layers_per_block=2, norm_num_groups=groups, **kinds)
        self.network = network.to(compute.frozen_dtype).eval().requires_grad_(False)
        self.vae = vae.eval().requires_grad_(False)

    def encode_text(self, texts: Sequence[str]) -> Conditioning:
        """Noise for words."""
        draws = torch.Generator().manual_seed(len(texts))
        sequence = torch.randn(len(texts), self.shape.length, self.shape.width, generator=draws)
        pooled = torch.randn(len(texts), self.shape.pooled, generator=draws)
        return Conditioning(sequence=sequence.to(self.compute.device), pooled=pooled.to(self.compute.device))

    def added(self, told: Conditioning, count: int) -> dict[str, Tensor] | None:
        """What SDXL is told beside the sequence."""
        if not self.shape.pooled:
            return None
        side, dtype = float(self.size_pixels), self.compute.frozen_dtype
        times = torch.tensor((side, side, 0.0, 0.0, side, side), device=told.pooled.device).expand(count, 6)
        return {"text_embeds": told.pooled.to(dtype), "time_ids": times.to(dtype)}


@torch.no_grad()
def measure(words: argparse.Namespace) -> str:
    """The section's body: images a second one by one and in batches, and the utilisation."""
    compute = Compute(device=torch.device(words.device), bfloat16=words.device == "cuda")
    denoiser = RandomUnet(SHAPES[words.shapes], compute)
    if words.device == "cuda":
        denoiser.quicken(channels_last=True, compiled=False)
    with FlopCounterMode(display=False) as counter:
        _images(denoiser, 1, 1)
    walk = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        denoiser.decode(denoiser.noise([1]))
    decoding = counter.get_total_flops()
    per_image = (walk - decoding) * words.steps + decoding
    rates: dict[int, list[float]] = {1: [], words.batch: []}
    for count in rates:
        _images(denoiser, count, 2)
    for _ in range(words.blocks):
        for count, found in rates.items():
            found.append(count / _seconds(denoiser, count, words.steps))
    lines = []
    for count, found in rates.items():
        rate = statistics.median(found)
        share = f" | {rate * per_image / (words.peak_tflops * 1e12):.1%}" if words.device == "cuda" else " | "
        lines.append(f"| {count} | {rate:.3f} | {rate * per_image / 1e12:.2f}{share} |")
    peak = f" of {words.peak_tflops:g}" if words.device == "cuda" else ""
    return (
        f"{denoiser.size_pixels} pixels, {words.steps} guided DDIM steps and decoding, random weights, {compute.frozen_dtype}, "
        f"{per_image / 1e12:.3f} TFLOP an image; median of {words.blocks} blocks by turns.\n\n"
        f"| at once | images a second | TFLOP/s | utilisation{peak} |\n| --- | --- | --- | --- |\n" + "\n".join(lines)
    )


def _images(denoiser: RandomUnet, count: int, steps: int) -> Tensor:
    told = denoiser.encode_text([""] * count)
    latents = denoiser.sample(told, denoiser.unconditional(), denoiser.noise(range(count)), steps=steps, guidance=5.0)
    return denoiser.decode(latents)


def _seconds(denoiser: RandomUnet, count: int, steps: int) -> float:
    began = time.perf_counter()
    _images(denoiser, count, steps).sum().item()  # waits for the device
    return time.perf_counter() - began
