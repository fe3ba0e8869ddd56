"""Denoisers of SDXL's layout: cross-attention and pooled conditioning, time ids, autoencoder. The one file that knows them.

A checkpoint with both text encoders is told their second last states, as SDXL's pipeline does; one with ``text_encoder_2``
alone is told its last states. Legend: B images, L positions, C width, P pooled width.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape
from icg_tasks.backbones.denoisers.pipeline_folder import PipelineFolder
from icg_tasks.backbones.denoisers.texts import TextEncoder
from icg_tasks.backbones.denoisers.unet import UnetDenoiser
from icg_tasks.backbones.device import Compute


class SdxlDenoiser(UnetDenoiser):
    """UNet, autoencoder and one or two text encoders, frozen."""

    pipeline = "StableDiffusionXLPipeline"

    def __init__(self, folder: PipelineFolder, compute: Compute, size_pixels: int, lora_folder: Path | None) -> None:
        super().__init__(folder, compute, size_pixels, lora_folder)
        kinds = [
            ("text_encoder", "tokenizer", CLIPTextModel, folder.has("text_encoder")),
            ("text_encoder_2", "tokenizer_2", CLIPTextModelWithProjection, True),
        ]
        dtype = compute.frozen_dtype
        self._texts = [
            TextEncoder.clip(folder.text_encoder(model, words, kind, dtype), compute.device)
            for model, words, kind, there in kinds
            if there
        ]
        config = self.network.config
        folder.require("the UNet's added conditions", config.addition_embed_type, "text_time")
        width = sum(text.width for text in self._texts)
        folder.require("the UNet's conditioning width", int(config.cross_attention_dim), width)
        self._silent = bool(folder.index.get("force_zeros_for_empty_prompt", True))  # as SDXL learned an empty prompt
        last = self._texts[-1]
        self.shape = ConditioningShape(length=last.length, width=width, pooled=int(last.model.config.projection_dim))

    def encode_text(self, texts: Sequence[str]) -> Conditioning:
        """States [B, L, C] side by side, and the pooled vector [B, P] of the last text encoder."""
        found = [text.clip_states(texts, second_last=len(self._texts) > 1) for text in self._texts]
        return Conditioning(sequence=torch.cat([states for states, _ in found], dim=-1), pooled=found[-1][1])

    def unconditional(self) -> Conditioning:
        """The empty prompt, or zeros where the checkpoint learned those."""
        told = self.encode_text([""])
        if not self._silent:
            return told
        return Conditioning(sequence=torch.zeros_like(told.sequence), pooled=torch.zeros_like(told.pooled))

    def added(self, told: Conditioning, count: int) -> dict[str, Tensor]:
        """The pooled vector, and time ids that say: this size, nothing cropped."""
        side, dtype = float(self.size_pixels), self.compute.frozen_dtype
        times = torch.tensor((side, side, 0.0, 0.0, side, side), device=told.pooled.device).expand(count, 6)
        return {"text_embeds": told.pooled.to(dtype), "time_ids": times.to(dtype)}
