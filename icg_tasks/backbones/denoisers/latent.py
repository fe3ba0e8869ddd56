"""What all families of latent denoisers share: noise, guided walks, gradients of the last steps, the autoencoder, the loss.

A family file says what is its own: its parts, what it wants to be told, and one prediction. Knows no family.
Legend: B images, L positions, C width, P pooled width, N latent channels, H W latent sides.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError, safe_open
from torch import Tensor

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape, join
from icg_tasks.backbones.denoisers.lean import lighten
from icg_tasks.backbones.denoisers.pipeline_folder import PipelineFolder
from icg_tasks.backbones.denoisers.schedules import Schedule
from icg_tasks.backbones.device import Compute
from icg_tasks.contracts.errors import DataCorrupt, SettingsError


class LatentDenoiser(ABC):
    """Frozen network and autoencoder. ``network`` may carry a LoRA (adapt-denoiser trains it in place)."""

    pipeline: ClassVar[str]
    """diffusers' class of the whole checkpoint."""
    part: ClassVar[str]
    """Folder of the network."""
    network_class: ClassVar[Any]
    lora_targets: ClassVar[tuple[str, ...]]
    folds: ClassVar[int] = 1
    """Latent pixels that the network sees as one, in each direction (packed latents)."""

    shape: ConditioningShape
    schedule: Schedule
    _freezes = False  # whether a compiler may take weights for constants

    def __init__(self, folder: PipelineFolder, compute: Compute, size_pixels: int, lora_folder: Path | None) -> None:
        network = folder.network(self.part, self.network_class, compute.frozen_dtype)
        vae = folder.network("vae", AutoencoderKL, torch.float32)
        if lora_folder is not None:
            network = _with_lora(network, lora_folder)
        self.network = network.eval().requires_grad_(False).to(compute.device)
        self.vae = vae.eval().requires_grad_(False).to(compute.device)
        self.compute = compute
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        if size_pixels % (2 * factor):
            raise DataCorrupt(f"covers.size_pixels={size_pixels} is no multiple of {2 * factor}, which this denoiser needs")
        self.size_pixels, self.latent_side = size_pixels, size_pixels // factor
        self.latent_channels = int(vae.config.latent_channels)
        folder.require(f"{self.part}'s input channels", int(network.config.in_channels), self.latent_channels * self.folds**2)

    @classmethod
    def load(cls, checkpoint: str, compute: Compute, *, size_pixels: int, lora_folder: Path | None = None) -> Self:
        """From a local folder or hub id in diffusers' layout, safetensors only; raises DataMissing or DataCorrupt."""
        return cls(PipelineFolder(checkpoint, cls.pipeline), compute, size_pixels, lora_folder)

    @abstractmethod
    def encode_text(self, texts: Sequence[str]) -> Conditioning:
        """What the own text encoders tell it, equal to the pipeline's ``encode_prompt``."""

    @abstractmethod
    def predict(self, noisy_BNHW: Tensor, times: Tensor, told: Conditioning, guidance: float) -> Tensor:
        """What the network makes of noisy latents at a time (or one per image); ``guidance`` where it is an input."""

    def free_guidance(self, guidance: float) -> float:
        """How far to walk from the unconditional prediction to the conditional one and beyond; 1 = no second prediction."""
        return guidance

    def unconditional(self) -> Conditioning:
        """The empty prompt."""
        return self.encode_text([""])

    @property
    def num_train_timesteps(self) -> int:
        """Times are whole numbers from 0 to this, exclusive."""
        return self.schedule.num_train_timesteps

    def checkpoint_gradients(self, enabled: bool) -> None:
        """Trades a second forward pass for memory, in the network and in the decoder."""
        for model in (self.network, self.vae):
            if enabled:
                model.enable_gradient_checkpointing()
            else:
                model.disable_gradient_checkpointing()

    def quicken(self, *, channels_last: bool, compiled: bool, lean: bool = False, onnx_cache: Path | None = None) -> None:
        """Lighter layers, another memory layout of convolutions, a compiled network: the same sums, rounded otherwise.

        For drawing alone; ``lean`` is for processors and leaves an accelerator's network as it is. ``onnx_cache``: ONNX Runtime
        runs network and decoder, in float32, on a processor; exports lie in that folder. Raises SettingsError where that and
        something else are asked for together.
        """
        if onnx_cache is not None:
            self._refuse_beside_onnx(channels_last=channels_last, compiled=compiled)
            self.compute = replace(self.compute, bfloat16=False)
        if lean and self.compute.device.type == "cpu":
            products = torch.bfloat16 if self.compute.bfloat16 else None
            lighten(self.network, products)
            lighten(self.vae.decoder, None if self.vae.config.force_upcast else products)
        if channels_last:
            self.vae.to(memory_format=torch.channels_last)
            if self.part == "unet":
                self.network.to(memory_format=torch.channels_last)
        if compiled:
            self.network.compile(dynamic=False)
            self._freezes = self.compute.device.type == "cpu"
        if onnx_cache is not None:
            from icg_tasks.backbones.onnx_forward import run_by_onnx

            run_by_onnx(self.network, onnx_cache, sampled=True)
            run_by_onnx(self.vae.decoder, onnx_cache, sampled=False)

    def _refuse_beside_onnx(self, **others: bool) -> None:
        """What ONNX Runtime cannot be asked for together with."""
        if self.compute.device.type != "cpu" or self.compute.frozen_dtype != torch.float32:
            raise SettingsError("generation.runtime=onnx draws in float32 on a CPU; on a GPU, or with generation.half_weights, "
                                "leave it at torch (and see generation.compile)")  # fmt: skip
        if any(others.values()):
            raise SettingsError("generation.runtime=onnx goes with neither generation.channels_last nor generation.compile")

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """Noise [B, N, H, W] from one CPU generator per image."""
        shape = (self.latent_channels, self.latent_side, self.latent_side)
        rows = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(rows).to(self.compute.device)

    @torch.no_grad()
    def sample(
        self, conditioning: Conditioning, unconditional: Conditioning, noise_BNHW: Tensor, *, steps: int, guidance: float
    ) -> Tensor:
        """Guided steps of the checkpoint's own scheduler; no gradient."""
        with _weights_as_constants() if self._freezes else nullcontext():
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
        latents = latents_BNHW / self.vae.config.scaling_factor + self._shift
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
        return (found - self._shift) * self.vae.config.scaling_factor  # type: ignore[no-any-return]

    def denoising_loss(self, latents_BNHW: Tensor, conditioning: Conditioning, noise_BNHW: Tensor, times_B: Tensor) -> Tensor:
        """Error per image [B] in the family's own parametrisation (``schedules`` says which, and how it is weighted)."""
        return self.schedule.loss(
            lambda noisy, times: self.predict(noisy, times, conditioning, 1.0), latents_BNHW, noise_BNHW, times_B
        )

    @property
    def _shift(self) -> float:
        return float(self.vae.config.shift_factor or 0.0)

    def _walk(
        self, told: Conditioning, untold: Conditioning, noise: Tensor, steps: int, guidance: float, gradient_steps: int
    ) -> Tensor:
        scheduler = self.schedule.begin(steps)
        latents, drawn = self.schedule.first(scheduler, noise), self.schedule.drawn(noise)
        free = self.free_guidance(guidance)
        nothing = untold.expand(len(noise))
        both = join([told.detach(), nothing]) if free != 1.0 else told
        calls = len(scheduler.timesteps)  # some schedulers ask more than once in a step
        graded_from = calls + (-gradient_steps * calls) // steps if torch.is_grad_enabled() else calls
        for number, time in enumerate(scheduler.timesteps):
            seen = self.schedule.seen(scheduler, latents.detach(), time)
            if number >= graded_from:
                said = self.predict(seen, time, told, guidance)
                if free != 1.0:
                    with torch.no_grad():
                        unsaid = self.predict(seen, time, nothing, guidance)
                    said = unsaid + free * (said - unsaid)
            else:
                with torch.no_grad():
                    said = self._guided(seen, time, told, both, free, guidance)
            latents = scheduler.step(said, time, latents, **drawn).prev_sample
        return latents

    def _guided(
        self, seen: Tensor, time: Tensor, told: Conditioning, both: Conditioning, free: float, guidance: float
    ) -> Tensor:
        """Told and untold in one batch: a larger one is cheaper per image."""
        if free == 1.0:
            return self.predict(seen, time, told, guidance)
        said, unsaid = self.predict(torch.cat([seen, seen]), time, both, guidance).chunk(2)
        return unsaid + free * (said - unsaid)


def _weights_as_constants() -> AbstractContextManager[None]:
    """For what is compiled within, in this thread: a compiler's settings are each thread's own."""
    from torch._inductor import config  # only where something is compiled

    found: AbstractContextManager[None] = config.patch(freezing=True)
    return found


def _with_lora(network: Any, lora_folder: Path) -> Any:
    """The LoRA's change added to the weights; one that names other layers is refused (peft alone would only warn)."""
    from peft import PeftModel
    from peft.utils import get_peft_model_state_dict

    try:
        model = PeftModel.from_pretrained(network, lora_folder, is_trainable=False)
        with safe_open(lora_folder / "adapter_model.safetensors", "pt") as weights:
            strange = set(weights.keys()) ^ set(get_peft_model_state_dict(model))
        if strange:
            raise ValueError(f"{len(strange)} of its weights belong elsewhere, such as {min(strange)}")
        return model.merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataCorrupt(f"the LoRA in {lora_folder} does not fit this denoiser ({error}); adapt it again") from error
