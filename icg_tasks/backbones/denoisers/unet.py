"""What SD 1.5 and SDXL share: a UNet that reads its conditioning by cross-attention, trained to predict noise or velocity.

One distilled into few steps (latent consistency models, arXiv 2310.04378) is told the guidance instead of walking twice.
"""

import math
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from icg_tasks.backbones.denoisers.conditioning import Conditioning
from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.denoisers.pipeline_folder import PipelineFolder
from icg_tasks.backbones.denoisers.schedules import NoiseSchedule
from icg_tasks.backbones.device import Compute


class UnetDenoiser(LatentDenoiser):
    """A UNet; a family adds its text encoders and what else the UNet is told."""

    part = "unet"
    network_class = UNet2DConditionModel
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "conv_in", "conv_out")
    """Attention carries what is drawn, convolutions carry colour and mass."""
    scheduler_changes: ClassVar[dict[str, Any]] = {}

    def __init__(self, folder: PipelineFolder, compute: Compute, size_pixels: int, lora_folder: Path | None) -> None:
        super().__init__(folder, compute, size_pixels, lora_folder)
        self.schedule = NoiseSchedule(folder.scheduler(**self.scheduler_changes), compute.device)

    def free_guidance(self, guidance: float) -> float:
        """None where guidance is an input."""
        return guidance if self.network.config.time_cond_proj_dim is None else 1.0

    def predict(self, noisy_BNHW: Tensor, times: Tensor, told: Conditioning, guidance: float) -> Tensor:
        """Noise or velocity [B, N, H, W] (float32)."""
        dtype, width = self.compute.frozen_dtype, self.network.config.time_cond_proj_dim
        guided = None if width is None else told_guidance(guidance, width).to(noisy_BNHW.device, dtype)
        with self.compute.autocast():
            found = self.network(
                noisy_BNHW.to(dtype),
                times,
                timestep_cond=guided,
                encoder_hidden_states=told.sequence.to(dtype),
                added_cond_kwargs=self.added(told, len(noisy_BNHW)),
            )
        return found.sample.float()  # type: ignore[no-any-return]

    def added(self, told: Conditioning, count: int) -> dict[str, Tensor] | None:  # noqa: ARG002
        """What the UNet is told beside the sequence, for ``count`` images."""
        return None


def told_guidance(guidance: float, width: int) -> Tensor:
    """How a consistency model is told the guidance [1, width]: sines, then cosines, of what it adds (arXiv 2310.04378, 4.2)."""
    half = width // 2
    waves = torch.exp(torch.arange(half) * -(math.log(10_000.0) / (half - 1))) * (guidance - 1.0) * 1000.0
    return nn.functional.pad(torch.cat([waves.sin(), waves.cos()]), (0, width % 2))[None]
