"""Denoisers of PixArt-Sigma's layout: a transformer that reads T5's states by masked cross-attention, nothing pooled.

Legend: B images, L positions, C width, N latent channels, H W latent sides.
"""

from collections.abc import Sequence
from pathlib import Path

from diffusers import PixArtTransformer2DModel
from torch import Tensor
from transformers import T5EncoderModel

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape
from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.denoisers.pipeline_folder import PipelineFolder
from icg_tasks.backbones.denoisers.schedules import NoiseSchedule
from icg_tasks.backbones.denoisers.texts import TextEncoder
from icg_tasks.backbones.device import Compute

_T5_LENGTH = 300
"""The pipeline's ``max_sequence_length``."""


class PixArtSigmaDenoiser(LatentDenoiser):
    """Transformer, autoencoder and T5, frozen."""

    pipeline = "PixArtSigmaPipeline"
    part = "transformer"
    network_class = PixArtTransformer2DModel
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "pos_embed.proj", "proj_out")

    def __init__(self, folder: PipelineFolder, compute: Compute, size_pixels: int, lora_folder: Path | None) -> None:
        super().__init__(folder, compute, size_pixels, lora_folder)
        self.schedule = NoiseSchedule(folder.scheduler(), compute.device)
        pair = folder.text_encoder("text_encoder", "tokenizer", T5EncoderModel, compute.frozen_dtype)
        self._t5 = TextEncoder.t5(pair, compute.device, _T5_LENGTH)
        folder.require("the transformer's caption width", int(self.network.config.caption_channels), self._t5.width)
        folder.require("the transformer's added conditions", bool(self.network.use_additional_conditions), False)
        self.shape = ConditioningShape(length=self._t5.length, width=self._t5.width, pooled=0, masked=True)

    def encode_text(self, texts: Sequence[str]) -> Conditioning:
        """T5's states [B, L, C] of the text in small letters, padding masked; pooled [B, 0]."""
        states, mask = self._t5.t5_states([text.lower().strip() for text in texts], masked=True)
        return Conditioning(sequence=states, pooled=states.new_zeros((len(states), 0)), mask=mask)

    def predict(self, noisy_BNHW: Tensor, times: Tensor, told: Conditioning, guidance: float) -> Tensor:  # noqa: ARG002
        """Noise [B, N, H, W] (float32); the variance that the network learned beside it is left out."""
        dtype = self.compute.frozen_dtype
        with self.compute.autocast():
            found = self.network(
                noisy_BNHW.to(dtype),
                encoder_hidden_states=told.sequence.to(dtype),
                encoder_attention_mask=None if told.mask is None else told.mask.to(dtype),
                timestep=times.expand(len(noisy_BNHW)),
                added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            )
        return found.sample[:, : self.latent_channels].float()  # type: ignore[no-any-return]
