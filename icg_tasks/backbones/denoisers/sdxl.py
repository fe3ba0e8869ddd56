"""Denoisers of SDXL's layout: cross-attention and pooled conditioning, time ids, autoencoder. The one file that knows them.

A checkpoint with both text encoders is told their second last states, as SDXL's pipeline does; one with ``text_encoder_2``
alone is told its last states. Legend: B images, L positions, C width, P pooled width, N latent channels, H W latent sides.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from torch import Tensor
from transformers import AutoTokenizer, CLIPTextModel, CLIPTextModelWithProjection
from transformers.utils import logging as transformers_logging

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape, join
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.encoder import checkpoint_folder
from icg_tasks.contracts.errors import DataCorrupt, DataMissing

_FINEST_WEIGHT = 5.0
"""Ceiling of signal-to-noise weighting: nearly clean images would else dominate the loss."""
_TEXT_BATCH = 64


class SdxlDenoiser:
    """Frozen UNet, autoencoder and text encoders. ``unet`` may carry a LoRA (adapt-denoiser trains it in place)."""

    def __init__(
        self,
        unet: Any,
        vae: Any,
        scheduler: Any,
        texts: list[tuple[Any, Any]],
        compute: Compute,
        size_pixels: int,
        silent: bool,
    ) -> None:
        self.unet = unet.eval().requires_grad_(False).to(compute.device)
        self.vae = vae.eval().requires_grad_(False).to(compute.device)
        self.scheduler, self.compute = scheduler, compute
        self._texts = [(tokenizer, model.eval().requires_grad_(False).to(compute.device)) for tokenizer, model in texts]
        self._silent = silent  # an empty prompt is told as zeros, as SDXL learned it
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        if size_pixels % (2 * factor):
            raise DataCorrupt(f"covers.size_pixels={size_pixels} is no multiple of {2 * factor}, which this denoiser needs")
        self.size_pixels, self._latent_side = size_pixels, size_pixels // factor
        self._latent_channels = int(unet.config.in_channels)
        pooled = texts[-1][1].config.projection_dim
        self.shape = ConditioningShape(
            length=int(texts[-1][1].config.max_position_embeddings),
            width=int(unet.config.cross_attention_dim),
            pooled=int(pooled),
        )
        training = DDPMScheduler.from_config(scheduler.config)
        self.num_train_timesteps = int(training.config.num_train_timesteps)
        self._predicts = str(training.config.prediction_type)
        self._alphas = training.alphas_cumprod.to(compute.device)

    @classmethod
    def load(cls, checkpoint: str, compute: Compute, *, size_pixels: int, lora_folder: Path | None = None) -> "SdxlDenoiser":
        """From a local folder or hub id in diffusers' layout, safetensors only; raises DataMissing or DataCorrupt."""
        folder = checkpoint_folder(checkpoint)
        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        dtype = compute.frozen_dtype
        weights = {"use_safetensors": True, "local_files_only": True}
        try:
            index: dict[str, Any] = json.loads((folder / "model_index.json").read_text())
            unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype, **weights)
            vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32, **weights)
            kinds = [
                ("text_encoder", "tokenizer", CLIPTextModel),
                ("text_encoder_2", "tokenizer_2", CLIPTextModelWithProjection),
            ]
            texts = [
                (
                    AutoTokenizer.from_pretrained(folder / words, local_files_only=True),
                    kind.from_pretrained(folder / model, dtype=dtype, **weights),
                )
                for model, words, kind in kinds
                if index.get(model, [None])[0]
            ]
            scheduler = _scheduler(folder, index)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataMissing(f"{checkpoint}: no usable denoiser of SDXL's layout in safetensors ({error})") from error
        if lora_folder is not None:
            unet = _with_lora(unet, lora_folder)
        silent = bool(index.get("force_zeros_for_empty_prompt", True))
        return cls(unet, vae, scheduler, texts, compute, size_pixels, silent)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Conditioning:
        """States [B, L, C] and pooled vector [B, P] of the own text encoders."""
        sequences, pooled = [], torch.empty(0)
        for tokenizer, model in self._texts:
            states, vectors = zip(
                *(self._encoded(tokenizer, model, texts[at : at + _TEXT_BATCH]) for at in range(0, len(texts), _TEXT_BATCH)),
                strict=True,
            )
            sequences.append(torch.cat(states))
            pooled = torch.cat(vectors)
        return Conditioning(sequence=torch.cat(sequences, dim=-1), pooled=pooled)

    def unconditional(self) -> Conditioning:
        """The empty prompt, or zeros where the checkpoint learned those."""
        told = self.encode_text([""])
        if not self._silent:
            return told
        return Conditioning(sequence=torch.zeros_like(told.sequence), pooled=torch.zeros_like(told.pooled))

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """Noise [B, N, H, W] from one CPU generator per image."""
        shape = (self._latent_channels, self._latent_side, self._latent_side)
        rows = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(rows).to(self.compute.device)

    @torch.no_grad()
    def sample(
        self, conditioning: Conditioning, unconditional: Conditioning, noise_BNHW: Tensor, *, steps: int, guidance: float
    ) -> Tensor:
        """Guided steps of the checkpoint's own scheduler; no gradient."""
        return self._walk(conditioning, unconditional, noise_BNHW, steps, guidance, gradient_steps=0)

    def sample_with_gradient(
        self,
        conditioning: Conditioning,
        unconditional: Conditioning,
        noise_BNHW: Tensor,
        *,
        steps: int,
        guidance: float,
        gradient_steps: int,
    ) -> Tensor:
        """Gradients reach the conditioning at the last ``gradient_steps`` steps (DRaFT-K); the image input is detached."""
        return self._walk(conditioning, unconditional, noise_BNHW, steps, guidance, gradient_steps)

    def decode(self, latents_BNHW: Tensor) -> Tensor:
        """Pixels [B, 3, height, width] in [0, 1] (float32); straight through the clamp."""
        latents = latents_BNHW / self.vae.config.scaling_factor
        with self.compute.autocast(enabled=not self.vae.config.force_upcast):
            pixels: Tensor = self.vae.decode(latents).sample.float() / 2 + 0.5
        return pixels + (pixels.clamp(0.0, 1.0) - pixels).detach()

    @torch.no_grad()
    def encode_images(self, pixels_BCHW: Tensor) -> Tensor:
        """The autoencoder's mode, scaled [B, N, H, W]; images of another size are resized."""
        side = (self.size_pixels, self.size_pixels)
        pixels = pixels_BCHW.to(self.compute.device)
        if pixels.shape[-2:] != side:
            pixels = torch.nn.functional.interpolate(pixels, size=side, mode="bicubic", antialias=True).clamp(0.0, 1.0)
        with self.compute.autocast(enabled=not self.vae.config.force_upcast):
            found = self.vae.encode(pixels * 2 - 1).latent_dist.mode().float()
        return found * self.vae.config.scaling_factor  # type: ignore[no-any-return]

    def denoising_loss(self, latents_BNHW: Tensor, conditioning: Conditioning, noise_BNHW: Tensor, times_B: Tensor) -> Tensor:
        """Error per image [B] in terms of the clean latent, weight at most 5 (min-SNR, arXiv 2303.09556)."""
        alpha = self._alphas[times_B].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * latents_BNHW + (1 - alpha).sqrt() * noise_BNHW
        found = self._predict(noisy, times_B, conditioning)
        ratio = alpha / (1 - alpha).clamp(min=1e-6)
        if self._predicts == "v_prediction":
            target = alpha.sqrt() * noise_BNHW - (1 - alpha).sqrt() * latents_BNHW
            weight = ratio.add(1).clamp(max=_FINEST_WEIGHT) / ratio.add(1)
        else:
            target = noise_BNHW
            weight = ratio.clamp(max=_FINEST_WEIGHT) / ratio.clamp(min=1e-6)
        error: Tensor = weight * (found - target).square()
        return error.mean(dim=(1, 2, 3))

    def _walk(
        self, told: Conditioning, untold: Conditioning, noise: Tensor, steps: int, guidance: float, gradient_steps: int
    ) -> Tensor:
        scheduler = type(self.scheduler).from_config(self.scheduler.config)  # a scheduler remembers where it is
        scheduler.set_timesteps(steps, device=self.compute.device)
        latents: Tensor = noise * scheduler.init_noise_sigma
        nothing = untold.expand(len(noise))
        both = join([told.detach(), nothing])
        for number, time in enumerate(scheduler.timesteps):
            seen = scheduler.scale_model_input(latents.detach(), time)
            if number >= steps - gradient_steps and torch.is_grad_enabled():
                said = self._predict(seen, time, told)
                if guidance != 1.0:
                    with torch.no_grad():
                        unsaid = self._predict(seen, time, nothing)
                    said = unsaid + guidance * (said - unsaid)
            else:
                with torch.no_grad():
                    said = self._guided(seen, time, told, both, guidance)
            latents = scheduler.step(said, time, latents).prev_sample
        return latents

    def _guided(self, seen: Tensor, time: Tensor, told: Conditioning, both: Conditioning, guidance: float) -> Tensor:
        """Told and untold in one batch: a larger one is cheaper per image."""
        if guidance == 1.0:
            return self._predict(seen, time, told)
        said, unsaid = self._predict(torch.cat([seen, seen]), time, both).chunk(2)
        return unsaid + guidance * (said - unsaid)

    def _predict(self, noisy: Tensor, time: Tensor, told: Conditioning) -> Tensor:
        side = float(self.size_pixels)
        times = torch.tensor((side, side, 0.0, 0.0, side, side), device=noisy.device).expand(len(noisy), 6)
        dtype = self.compute.frozen_dtype
        added = {"text_embeds": told.pooled.to(dtype), "time_ids": times.to(dtype)}
        with self.compute.autocast():
            states = told.sequence.to(dtype)
            found = self.unet(noisy.to(dtype), time, encoder_hidden_states=states, added_cond_kwargs=added)
        return found.sample.float()  # type: ignore[no-any-return]

    def _encoded(self, tokenizer: Any, model: Any, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        length = int(model.config.max_position_embeddings)
        ids = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")["input_ids"]
        found = model(input_ids=ids.to(self.compute.device), output_hidden_states=True)
        states = found.hidden_states[-2] if len(self._texts) > 1 else found.last_hidden_state
        pooled = found.text_embeds if hasattr(found, "text_embeds") else states.new_zeros((len(texts), 0))
        return states.float(), pooled.float()


def _scheduler(folder: Path, index: dict[str, Any]) -> Any:
    import diffusers

    return getattr(diffusers, index["scheduler"][1]).from_pretrained(folder / "scheduler", local_files_only=True)


def _with_lora(unet: Any, lora_folder: Path) -> Any:
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(unet, lora_folder, is_trainable=False).merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataCorrupt(f"the LoRA in {lora_folder} does not fit this denoiser ({error}); adapt it again") from error
