"""Denoisers of Stable Diffusion 3's layout: one joint sequence of two CLIPs and T5, pooled CLIP vectors, flow matching.

A checkpoint without T5 says zeros in its place, as in diffusers. Legend: B images, L positions, C width, P pooled width.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModelWithProjection, T5EncoderModel

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape
from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.denoisers.pipeline_folder import PipelineFolder
from icg_tasks.backbones.denoisers.schedules import FlowSchedule
from icg_tasks.backbones.denoisers.texts import TextEncoder
from icg_tasks.backbones.device import Compute
from icg_tasks.contracts.errors import DataCorrupt

_T5_LENGTH = 256
"""The pipeline's ``max_sequence_length``."""


class Sd3Denoiser(LatentDenoiser):
    """Transformer, autoencoder, two CLIPs and T5 where there is one, frozen."""

    pipeline = "StableDiffusion3Pipeline"
    part = "transformer"
    network_class = SD3Transformer2DModel
    lora_targets = (
        "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
        "ff.net.0.proj", "ff.net.2", "pos_embed.proj", "proj_out",
    )  # fmt: skip

    def __init__(self, folder: PipelineFolder, compute: Compute, size_pixels: int, lora_folder: Path | None) -> None:
        super().__init__(folder, compute, size_pixels, lora_folder)
        config, device, dtype = self.network.config, compute.device, compute.frozen_dtype
        side = self.latent_side // int(config.patch_size)
        if side > config.pos_embed_max_size:
            raise DataCorrupt(
                f"covers.size_pixels={size_pixels} is {side} patches across; this denoiser has positions for "
                f"{config.pos_embed_max_size}: set a smaller size"
            )
        self.schedule = FlowSchedule(folder.scheduler(), device, num_tokens=side**2, even=False)
        self._clips = [
            TextEncoder.clip(folder.text_encoder(f"text_encoder{at}", f"tokenizer{at}", kind, dtype), device)
            for at, kind in (("", CLIPTextModelWithProjection), ("_2", CLIPTextModelWithProjection))
        ]
        self._t5: TextEncoder | None = None
        if folder.has("text_encoder_3"):
            pair = folder.text_encoder("text_encoder_3", "tokenizer_3", T5EncoderModel, dtype)
            self._t5 = TextEncoder.t5(pair, device, _T5_LENGTH)
            folder.require("the transformer's conditioning width", int(config.joint_attention_dim), self._t5.width)
        pooled = sum(int(clip.model.config.projection_dim) for clip in self._clips)
        folder.require("the transformer's pooled width", int(config.pooled_projection_dim), pooled)
        length = self._clips[0].length + (self._t5.length if self._t5 else _T5_LENGTH)
        self.shape = ConditioningShape(length=length, width=int(config.joint_attention_dim), pooled=pooled)

    def encode_text(self, texts: Sequence[str]) -> Conditioning:
        """Second last CLIP states side by side, filled up with zeros to T5's width, then T5's states; both pooled vectors."""
        found = [clip.clip_states(texts, second_last=True) for clip in self._clips]
        clips = torch.cat([states for states, _ in found], dim=-1)
        clips = functional.pad(clips, (0, self.shape.width - clips.shape[-1]))
        if self._t5 is None:
            rest = clips.new_zeros((len(clips), self.shape.length - clips.shape[1], self.shape.width))
        else:
            rest, _ = self._t5.t5_states(texts, masked=False)
        pooled = torch.cat([vectors for _, vectors in found], dim=-1)
        return Conditioning(sequence=torch.cat([clips, rest], dim=1), pooled=pooled)

    def predict(self, noisy_BNHW: Tensor, times: Tensor, told: Conditioning, guidance: float) -> Tensor:  # noqa: ARG002
        """Velocity [B, N, H, W] (float32)."""
        dtype = self.compute.frozen_dtype
        with self.compute.autocast():
            found = self.network(
                hidden_states=noisy_BNHW.to(dtype),
                timestep=times.expand(len(noisy_BNHW)),
                encoder_hidden_states=told.sequence.to(dtype),
                pooled_projections=told.pooled.to(dtype),
            )
        return found.sample.float()  # type: ignore[no-any-return]
