"""Denoising by random steps whose likelihood is known, so that a reward without gradient can tell good steps from bad ones.

A latent is a x clean + s x noise (a^2 + s^2 = 1 in diffusion, a + s = 1 in flow matching). Told what to draw, the denoiser
estimates the clean latent; the next, less noisy one is drawn from N(a' clean + sqrt(s'^2 - d^2) noise, d^2), DDIM's family
(arXiv 2010.02502, eq. 12), as DDPO (arXiv 2305.13301) and Flow-GRPO (arXiv 2505.05470) do. Every such step leaves the latents'
distribution as it is, for either kind of path. Knows denoisers; no reward.
Legend: B images, N latent channels, H W latent sides, S random steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from icg_tasks.backbones.denoisers.conditioning import Conditioning, Denoiser


@dataclass(frozen=True, kw_only=True)
class Level:
    """How noisy a latent is at one of the denoiser's own times."""

    time: Tensor
    signal: float  # a
    noise: float  # s


class Estimator(Protocol):
    """What random steps need of a denoiser."""

    def levels(self, steps: int) -> list[Level]:
        """From the noisiest on, as its sampler goes in ``steps`` steps; the clean latent follows the last."""
        ...

    def clean(self, noisy_BNHW: Tensor, level: Level, told: Conditioning) -> Tensor:
        """The clean latent it expects; differentiable in ``told``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Step:
    """One random step: between which levels, and how wide it scatters."""

    level: Level
    signal: float  # a'
    noise: float  # s'
    deviation: float  # d


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Latents before and after each random step [S, B, N, H, W], and the log-likelihood of each step [S, B]."""

    steps: list[Step]
    before: list[Tensor]
    after: list[Tensor]
    log_likelihood: list[Tensor]
    latents_BNHW: Tensor  # at the end


@dataclass(frozen=True, kw_only=True)
class Walker:
    """Guided random steps of one denoiser. ``noisiness`` scales d: 0 = no chance at all, 1 = as much as DDPM's posterior."""

    estimator: Estimator
    untold: Conditioning
    guidance: float
    noisiness: float

    def plan(self, steps: int) -> list[Step]:
        """All steps; the last ends clean and has no chance in it."""
        levels = self.estimator.levels(steps)
        after = [*((level.signal, level.noise) for level in levels[1:]), (1.0, 0.0)]
        found = []
        for level, (signal, noise) in zip(levels, after, strict=True):
            kept = level.signal * noise / max(signal * level.noise, 1e-12)
            deviation = self.noisiness * noise * max(0.0, 1 - kept**2) ** 0.5
            found.append(Step(level=level, signal=signal, noise=noise, deviation=deviation))
        return found

    def mean(self, before_BNHW: Tensor, step: Step, told: Conditioning) -> Tensor:
        """Where a step leads on average; differentiable in ``told`` (the latent is taken as given)."""
        clean = self.estimator.clean(before_BNHW, step.level, told)
        if self.guidance != 1.0:
            with torch.no_grad():
                unsaid = self.estimator.clean(before_BNHW, step.level, self.untold.expand(len(before_BNHW)))
            clean = unsaid + self.guidance * (clean - unsaid)
        noise = (before_BNHW - step.level.signal * clean) / step.level.noise
        left = max(0.0, step.noise**2 - step.deviation**2) ** 0.5
        return torch.add(step.signal * clean, noise, alpha=left)

    @torch.no_grad()
    def walk(self, told: Conditioning, noise_BNHW: Tensor, steps: int, seeds: Sequence[int]) -> Walk:
        """From noise to a latent; image b's chances come from ``seeds[b]`` alone."""
        chances = [torch.Generator().manual_seed(seed) for seed in seeds]
        latents, taken, before, after, likelihood = noise_BNHW, [], [], [], []
        for step in self.plan(steps):
            mean = self.mean(latents, step, told)
            if step.deviation == 0:
                latents = mean
                continue
            drawn = torch.stack([torch.randn(mean.shape[1:], generator=chance) for chance in chances]).to(mean.device)
            reached = mean + step.deviation * drawn
            taken.append(step)
            before.append(latents)
            after.append(reached)
            likelihood.append(log_likelihood(reached, mean, step.deviation))
            latents = reached
        return Walk(steps=taken, before=before, after=after, log_likelihood=likelihood, latents_BNHW=latents)


def log_likelihood(after_BNHW: Tensor, mean_BNHW: Tensor, deviation: float) -> Tensor:
    """Of a step [B], up to what does not depend on the mean, over the root of the number of values.

    So a ratio's spread is the mean's move in deviations, whatever the image size; the sum would explode with the size, the mean
    per value (DDPO's code) vanish with it.

    >>> log_likelihood(torch.ones(1, 4, 1, 1), torch.zeros(1, 4, 1, 1), 1.0)
    tensor([-1.])
    """
    squares = ((after_BNHW - mean_BNHW) / deviation).square().flatten(1)
    found: Tensor = squares.sum(dim=1) * (-0.5 / squares.shape[1] ** 0.5)
    return found


class LatentEstimator:
    """An estimator of a latent denoiser's own prediction and schedule: the one place that knows how those are written."""

    def __init__(self, denoiser: Any, guidance: float) -> None:
        self._denoiser, self._schedule, self._guidance = denoiser, denoiser.schedule, guidance

    def levels(self, steps: int) -> list[Level]:
        """At the times of the checkpoint's own scheduler; of a table of noise levels, or of shares of noise (flow matching)."""
        scheduler = self._schedule.begin(steps)
        if not self._flows:
            table, times = self._schedule._alphas, [round(float(time)) for time in scheduler.timesteps]
            pairs = [(float(table[time]) ** 0.5, float(1 - table[time]) ** 0.5) for time in times]
        else:
            pairs = [(1 - float(share), float(share)) for share in scheduler.sigmas[:-1]]
        return [
            Level(time=time, signal=signal, noise=noise)
            for time, (signal, noise) in zip(scheduler.timesteps, pairs, strict=True)
        ]

    def clean(self, noisy_BNHW: Tensor, level: Level, told: Conditioning) -> Tensor:
        """From the noise, the velocity or the flow that the network predicts."""
        found: Tensor = self._denoiser.predict(noisy_BNHW, level.time, told, self._guidance)
        if self._flows:
            return torch.add(noisy_BNHW, found, alpha=-level.noise)
        if self._schedule._predicts == "v_prediction":
            return torch.add(level.signal * noisy_BNHW, found, alpha=-level.noise)
        return torch.add(noisy_BNHW, found, alpha=-level.noise) / max(level.signal, 1e-6)

    @property
    def _flows(self) -> bool:
        return not hasattr(self._schedule, "_alphas")


def walker_of(denoiser: Denoiser, untold: Conditioning, *, guidance: float, noisiness: float) -> Walker:
    """Random steps of a latent denoiser, guided as its own sampler is."""
    inner: Any = denoiser
    return Walker(
        estimator=LatentEstimator(denoiser, guidance),
        untold=untold,
        guidance=inner.free_guidance(guidance),
        noisiness=noisiness,
    )
