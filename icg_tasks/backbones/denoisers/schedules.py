"""How noise comes and goes: the two parametrisations of public denoisers, each with its sampling steps and its training loss.

A sampler that draws noise on the way (consistency models, ancestral steps) draws it from a stream of each image's own, so an
image is the same alone and in any batch. Knows schedulers and numbers; no network, no family.
Legend: B images, N latent channels, H W latent sides.
"""

import hashlib
import inspect
import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from icg_tasks.contracts.errors import DataCorrupt, SettingsError

_FINEST_WEIGHT = 5.0
"""Ceiling of signal-to-noise weighting: nearly clean images would else dominate the loss."""
_DETERMINISTIC = (
    "DDIMScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
)  # fmt: skip
_DRAWING = (
    "LCMScheduler", "TCDScheduler", "EulerAncestralDiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DDPMScheduler",
)  # fmt: skip
"""These draw noise at every step, from the generators that they are given."""

Predict = Callable[[Tensor, Tensor], Tensor]
"""(noisy latents [B, N, H, W], times [B]) to what the network makes of them."""


class Schedule(Protocol):
    """What a walk from noise to an image, and a training step, need to know."""

    num_train_timesteps: int

    def begin(self, steps: int) -> Any:
        """A scheduler of its own (one remembers where it is), set to ``steps``."""
        ...

    def first(self, scheduler: Any, noise_BNHW: Tensor) -> Tensor:
        """Latents at the first time."""
        ...

    def seen(self, scheduler: Any, latents_BNHW: Tensor, time: Tensor) -> Tensor:
        """Latents as the network wants to see them at a time."""
        ...

    def drawn(self, noise_BNHW: Tensor) -> dict[str, Any]:
        """What a scheduler's steps are given besides, for a walk from this noise: generators, where they draw any."""
        ...

    def loss(self, predict: Predict, latents_BNHW: Tensor, noise_BNHW: Tensor, times_B: Tensor) -> Tensor:
        """Weighted squared error [B]; ``times_B``: whole numbers, drawn evenly from 0 to ``num_train_timesteps``, exclusive."""
        ...


def own_streams(noise_BNHW: Tensor) -> list[torch.Generator]:
    """A generator for each image, seeded by the noise that its walk begins with."""
    digests = (hashlib.sha256(row.tobytes()).digest() for row in noise_BNHW.detach().float().cpu().numpy())
    return [torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1) for digest in digests]


class NoiseSchedule:
    """Diffusion with a table of noise levels: the network predicts the noise (epsilon) or the velocity v (arXiv 2202.00512)."""

    def __init__(self, scheduler: Any, device: torch.device) -> None:
        name, sde = type(scheduler).__name__, str(getattr(scheduler.config, "algorithm_type", "")).startswith("sde")
        self._draws = sde or name in _DRAWING
        given = "generator" in inspect.signature(scheduler.step).parameters
        if name not in (*_DETERMINISTIC, *_DRAWING) or (self._draws and not given):
            raise DataCorrupt(
                f"the checkpoint's scheduler is {name}{' (sde)' if sde else ''}; expected one whose noise, if it draws any, a "
                f"seed decides: put the configuration of one of {', '.join((*_DETERMINISTIC, *_DRAWING))} into scheduler/"
            )
        self._scheduler, self._device = scheduler, device
        training = DDPMScheduler.from_config(scheduler.config)
        self.num_train_timesteps = int(training.config.num_train_timesteps)
        self._predicts = str(training.config.prediction_type)
        if self._predicts not in {"epsilon", "v_prediction"}:
            raise DataCorrupt(f"the checkpoint's scheduler predicts {self._predicts!r}; expected epsilon or v_prediction")
        self._alphas = training.alphas_cumprod.to(device)

    def begin(self, steps: int) -> Any:
        """The checkpoint's own scheduler, anew."""
        scheduler = type(self._scheduler).from_config(self._scheduler.config)
        try:
            scheduler.set_timesteps(steps, device=self._device)
        except ValueError as error:  # a consistency model has learned some times alone
            raise SettingsError(f"{steps} steps are not for {type(scheduler).__name__} ({error}); set other steps") from error
        return scheduler

    def first(self, scheduler: Any, noise_BNHW: Tensor) -> Tensor:
        """Noise as large as the scheduler starts with."""
        return noise_BNHW * scheduler.init_noise_sigma  # type: ignore[no-any-return]

    def seen(self, scheduler: Any, latents_BNHW: Tensor, time: Tensor) -> Tensor:
        """Scaled as the scheduler says."""
        return scheduler.scale_model_input(latents_BNHW, time)  # type: ignore[no-any-return]

    def drawn(self, noise_BNHW: Tensor) -> dict[str, Any]:
        """Generators for those that draw."""
        return {"generator": own_streams(noise_BNHW)} if self._draws else {}

    def loss(self, predict: Predict, latents_BNHW: Tensor, noise_BNHW: Tensor, times_B: Tensor) -> Tensor:
        """Error in terms of the clean latent, weight at most 5 (min-SNR, arXiv 2303.09556)."""
        alpha = self._alphas[times_B].view(-1, 1, 1, 1)
        found = predict(alpha.sqrt() * latents_BNHW + (1 - alpha).sqrt() * noise_BNHW, times_B)
        ratio = alpha / (1 - alpha).clamp(min=1e-6)
        if self._predicts == "v_prediction":
            target = alpha.sqrt() * noise_BNHW - (1 - alpha).sqrt() * latents_BNHW
            weight = ratio.add(1).clamp(max=_FINEST_WEIGHT) / ratio.add(1)
        else:
            target = noise_BNHW
            weight = ratio.clamp(max=_FINEST_WEIGHT) / ratio.clamp(min=1e-6)
        error: Tensor = weight * (found - target).square()
        return error.mean(dim=(1, 2, 3))


class FlowSchedule:
    """Rectified flow: latents at share s of noise are (1 - s) image + s noise, the network predicts noise - image.

    Shares are shifted towards noise by the checkpoint's constant, or by how many tokens an image has (arXiv 2403.03206, 5.3.2).
    ``even``: the unshifted shares of a sample's steps are 1 to 1/steps (Flux) instead of the scheduler's own (SD 3).
    """

    def __init__(self, scheduler: Any, device: torch.device, *, num_tokens: int, even: bool) -> None:
        name, config = type(scheduler).__name__, scheduler.config
        if name != "FlowMatchEulerDiscreteScheduler" or config.invert_sigmas:
            raise DataCorrupt(
                f"the checkpoint's scheduler is {name}; expected FlowMatchEulerDiscreteScheduler with invert_sigmas false; put "
                "its configuration into scheduler/"
            )
        self._scheduler, self._device, self._even = scheduler, device, even
        self.num_train_timesteps = int(config.num_train_timesteps)
        slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
        self._mu = config.base_shift + slope * (num_tokens - config.base_image_seq_len) if config.use_dynamic_shifting else None

    def begin(self, steps: int) -> Any:
        """The checkpoint's own scheduler, anew."""
        scheduler = type(self._scheduler).from_config(self._scheduler.config)
        shares = [1 - step / steps for step in range(steps)] if self._even else None
        scheduler.set_timesteps(steps, device=self._device, sigmas=shares, mu=self._mu)
        return scheduler

    def first(self, scheduler: Any, noise_BNHW: Tensor) -> Tensor:  # noqa: ARG002
        """The noise itself."""
        return noise_BNHW

    def seen(self, scheduler: Any, latents_BNHW: Tensor, time: Tensor) -> Tensor:  # noqa: ARG002
        """The latents themselves."""
        return latents_BNHW

    def drawn(self, noise_BNHW: Tensor) -> dict[str, Any]:
        """Generators, where sampling is stochastic."""
        return {"generator": own_streams(noise_BNHW)} if self._scheduler.config.stochastic_sampling else {}

    def shares(self, times_B: Tensor) -> Tensor:
        """Shares of noise [B] in (0, 1) at whole times, shifted."""
        even_B = (times_B + 0.5) / self.num_train_timesteps
        if self._mu is not None:
            return self._scheduler.time_shift(self._mu, 1.0, even_B)  # type: ignore[no-any-return]
        shift = float(self._scheduler.config.shift)
        return shift * even_B / (1 + (shift - 1) * even_B)

    def loss(self, predict: Predict, latents_BNHW: Tensor, noise_BNHW: Tensor, times_B: Tensor) -> Tensor:
        """Error of the velocity. Times are drawn evenly, so the logit-normal density that SD 3 draws them by is the weight:
        1 on average, at most 1.6 (arXiv 2403.03206, 3.1, rf/lognorm(0, 1))."""
        share = self.shares(times_B).view(-1, 1, 1, 1)
        found = predict((1 - share) * latents_BNHW + share * noise_BNHW, share.flatten() * self.num_train_timesteps)
        even_B = (times_B + 0.5) / self.num_train_timesteps
        density_B = (-even_B.logit().square() / 2).exp() / (even_B * (1 - even_B) * math.sqrt(2 * math.pi))
        return density_B * (found - (noise_BNHW - latents_BNHW)).square().mean(dim=(1, 2, 3))
