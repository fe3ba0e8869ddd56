"""Denoisers of Flux's layout: T5's states and a pooled CLIP vector, packed latents, flow matching.

A distilled checkpoint takes guidance as an input, at no second pass. One without that input is guided as others are (what the
pipeline calls true guidance), where guidance is not 1. Legend: B images, L positions, C width, N latent channels, H W latent
sides, T = H W / 4 tokens of F = 4 N numbers.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor
from transformers import CLIPTextModel, T5EncoderModel

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape
from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.denoisers.pipeline_folder import PipelineFolder
from icg_tasks.backbones.denoisers.schedules import FlowSchedule
from icg_tasks.backbones.denoisers.texts import TextEncoder
from icg_tasks.backbones.device import Compute

_T5_LENGTH, _T5_LENGTH_UNGUIDED = 512, 256
"""What checkpoints with and without a guidance input (dev, schnell) were trained with (black-forest-labs/flux, load_t5)."""


class FluxDenoiser(LatentDenoiser):
    """Transformer, autoencoder, CLIP and T5, frozen."""

    pipeline = "FluxPipeline"
    part = "transformer"
    network_class = FluxTransformer2DModel
    folds = 2
    lora_targets = (
        "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
        "ff.net.0.proj", "ff.net.2", "proj_mlp", "proj_out", "x_embedder",
    )  # fmt: skip

    def __init__(self, folder: PipelineFolder, compute: Compute, size_pixels: int, lora_folder: Path | None) -> None:
        super().__init__(folder, compute, size_pixels, lora_folder)
        config, device, dtype = self.network.config, compute.device, compute.frozen_dtype
        side = self.latent_side // self.folds
        self.schedule = FlowSchedule(folder.scheduler(), device, num_tokens=side**2, even=True)
        self._distilled = bool(config.guidance_embeds)
        self._clip = TextEncoder.clip(folder.text_encoder("text_encoder", "tokenizer", CLIPTextModel, dtype), device)
        pair = folder.text_encoder("text_encoder_2", "tokenizer_2", T5EncoderModel, dtype)
        self._t5 = TextEncoder.t5(pair, device, _T5_LENGTH if self._distilled else _T5_LENGTH_UNGUIDED)
        folder.require("the transformer's conditioning width", int(config.joint_attention_dim), self._t5.width)
        folder.require("the transformer's pooled width", int(config.pooled_projection_dim), self._clip.width)
        self.shape = ConditioningShape(length=self._t5.length, width=self._t5.width, pooled=self._clip.width)
        places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).to(device, torch.float32)
        self._places_T3 = torch.cat([places.new_zeros((side**2, 1)), places], dim=1)

    def encode_text(self, texts: Sequence[str]) -> Conditioning:
        """T5's states [B, L, C] and CLIP's pooled vector."""
        states, _ = self._t5.t5_states(texts, masked=False)
        _, pooled = self._clip.clip_states(texts, second_last=False)
        return Conditioning(sequence=states, pooled=pooled)

    def free_guidance(self, guidance: float) -> float:
        """None where the network takes guidance as an input."""
        return 1.0 if self._distilled else guidance

    def predict(self, noisy_BNHW: Tensor, times: Tensor, told: Conditioning, guidance: float) -> Tensor:
        """Velocity [B, N, H, W] (float32). In training guidance is 1: real covers follow no sharper law than their own."""
        dtype, count = self.compute.frozen_dtype, len(noisy_BNHW)
        strength = noisy_BNHW.new_full((count,), guidance) if self._distilled else None
        with self.compute.autocast():
            found = self.network(
                hidden_states=self._packed(noisy_BNHW).to(dtype),
                timestep=times.expand(count) / self.num_train_timesteps,
                guidance=strength,
                pooled_projections=told.pooled.to(dtype),
                encoder_hidden_states=told.sequence.to(dtype),
                txt_ids=self._places_T3.new_zeros((told.sequence.shape[1], 3)),
                img_ids=self._places_T3,
            )
        return self._unpacked(found.sample.float())

    def _packed(self, latents_BNHW: Tensor) -> Tensor:
        """Tokens [B, T, F]: each is 2 x 2 latent pixels of all channels."""
        count, channels, side = latents_BNHW.shape[0], self.latent_channels, self.latent_side // 2
        squares = latents_BNHW.view(count, channels, side, 2, side, 2).permute(0, 2, 4, 1, 3, 5)
        return squares.reshape(count, side * side, channels * 4)

    def _unpacked(self, tokens_BTF: Tensor) -> Tensor:
        """Latents [B, N, H, W] again."""
        count, channels, side = tokens_BTF.shape[0], self.latent_channels, self.latent_side // 2
        squares = tokens_BTF.view(count, side, side, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return squares.reshape(count, channels, side * 2, side * 2)
