"""How noise comes and goes: the two parametrisations of public denoisers, each with its sampling steps and its training loss.

Knows schedulers and numbers; no network, no family. Legend: B images, N latent channels, H W latent sides.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from icg_tasks.contracts.errors import DataCorrupt

_FINEST_WEIGHT = 5.0
"""Ceiling of signal-to-noise weighting: nearly clean images would else dominate the loss."""
_DETERMINISTIC = (
    "DDIMScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
)  # fmt: skip
"""Others draw noise at every step, which no image's own seed would decide."""

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

    def loss(self, predict: Predict, latents_BNHW: Tensor, noise_BNHW: Tensor, times_B: Tensor) -> Tensor:
        """Weighted squared error [B]; ``times_B``: whole numbers, drawn evenly from 0 to ``num_train_timesteps``, exclusive."""
        ...


class NoiseSchedule:
    """Diffusion with a table of noise levels: the network predicts the noise (epsilon) or the velocity v (arXiv 2202.00512)."""

    def __init__(self, scheduler: Any, device: torch.device) -> None:
        name, sde = type(scheduler).__name__, str(getattr(scheduler.config, "algorithm_type", "")).startswith("sde")
        if name not in _DETERMINISTIC or sde:
            raise DataCorrupt(
                f"the checkpoint's scheduler is {name}{' (sde)' if sde else ''}; expected one that draws no noise of its own, "
                f"so that a seed decides an image: put the configuration of one of {', '.join(_DETERMINISTIC)} into scheduler/"
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
        scheduler.set_timesteps(steps, device=self._device)
        return scheduler

    def first(self, scheduler: Any, noise_BNHW: Tensor) -> Tensor:
        """Noise as large as the scheduler starts with."""
        return noise_BNHW * scheduler.init_noise_sigma  # type: ignore[no-any-return]

    def seen(self, scheduler: Any, latents_BNHW: Tensor, time: Tensor) -> Tensor:
        """Scaled as the scheduler says."""
        return scheduler.scale_model_input(latents_BNHW, time)  # type: ignore[no-any-return]

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
        if name != "FlowMatchEulerDiscreteScheduler" or config.stochastic_sampling or config.invert_sigmas:
            raise DataCorrupt(
                f"the checkpoint's scheduler is {name}; expected FlowMatchEulerDiscreteScheduler with stochastic_sampling and "
                "invert_sigmas false; put its configuration into scheduler/"
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
