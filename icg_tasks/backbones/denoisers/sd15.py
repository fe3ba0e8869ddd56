"""Denoisers of Stable Diffusion 1.5's layout (2.x too): cross-attention on one CLIP text encoder, nothing pooled.

Community fine-tunes differ in the UNet alone, so an adapter for one of them speaks to all.
Legend: B images, L positions, C width.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from transformers import CLIPTextModel

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape
from icg_tasks.backbones.denoisers.pipeline_folder import PipelineFolder
from icg_tasks.backbones.denoisers.texts import TextEncoder
from icg_tasks.backbones.denoisers.unet import UnetDenoiser
from icg_tasks.backbones.device import Compute


class Sd15Denoiser(UnetDenoiser):
    """UNet, autoencoder and one text encoder, frozen."""

    pipeline = "StableDiffusionPipeline"
    scheduler_changes: ClassVar[dict[str, Any]] = {"steps_offset": 1, "clip_sample": False}
    """The pipeline mends the schedulers of old checkpoints so, too (diffusers, StableDiffusionPipeline.__init__)."""

    def __init__(self, folder: PipelineFolder, compute: Compute, size_pixels: int, lora_folder: Path | None) -> None:
        super().__init__(folder, compute, size_pixels, lora_folder)
        pair = folder.text_encoder("text_encoder", "tokenizer", CLIPTextModel, compute.frozen_dtype)
        self._text = TextEncoder.clip(pair, compute.device)
        config = self.network.config
        folder.require("the UNet's added conditions", config.addition_embed_type, None)
        folder.require("the UNet's conditioning width", int(config.cross_attention_dim), self._text.width)
        self.shape = ConditioningShape(length=self._text.length, width=self._text.width, pooled=0)

    def encode_text(self, texts: Sequence[str]) -> Conditioning:
        """Last states [B, L, C]; pooled [B, 0]."""
        states, _ = self._text.clip_states(texts, second_last=False)
        return Conditioning(sequence=states, pooled=states.new_zeros((len(states), 0)))
