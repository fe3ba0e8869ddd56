"""The two parametrisations by hand formula: nothing to lose for a perfect prediction, and the weights that papers give."""

import math

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    SASolverScheduler,
    TCDScheduler,
)

from icg_tasks.backbones.denoisers.schedules import FlowSchedule, NoiseSchedule, Schedule
from icg_tasks.contracts.errors import DataCorrupt, SettingsError

CPU = torch.device("cpu")
TIMES = torch.tensor([3, 400, 990])


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    return torch.randn(3, 4, 8, 8, generator=draws), torch.randn(3, 4, 8, 8, generator=draws)


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
def test_noise_and_velocity_are_what_the_scheduler_says_they_are(predicts: str) -> None:
    scheduler = DDIMScheduler(prediction_type=predicts)
    schedule, (latents, noise) = NoiseSchedule(scheduler, CPU), tensors()
    target = noise if predicts == "epsilon" else scheduler.get_velocity(latents, noise, TIMES)
    seen = []

    def perfect(noisy: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        seen.append((noisy, times))
        return target

    assert schedule.loss(perfect, latents, noise, TIMES).abs().max() < 1e-9
    assert torch.allclose(seen[0][0], scheduler.add_noise(latents, noise, TIMES), atol=1e-6)
    assert torch.equal(seen[0][1], TIMES)
    alpha = scheduler.alphas_cumprod[TIMES]
    ratio = alpha / (1 - alpha)
    off_by_one = schedule.loss(lambda noisy, times: target + 1, latents, noise, TIMES)
    over = ratio if predicts == "epsilon" else ratio + 1
    assert torch.allclose(off_by_one, over.clamp(max=5) / over, rtol=1e-4)


@pytest.mark.parametrize("dynamic", [False, True])
def test_flow_error_is_weighted_by_the_density_its_times_are_drawn_by(dynamic: bool) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=dynamic)
    schedule, (latents, noise) = FlowSchedule(scheduler, CPU, num_tokens=1024, even=True), tensors()
    even = (TIMES + 0.5) / 1000
    mu = 0.5 + (1.15 - 0.5) * (1024 - 256) / (4096 - 256)
    shift = math.exp(mu) if dynamic else 3.0
    share = shift * even / (1 + (shift - 1) * even)
    seen = []

    def perfect(noisy: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        seen.append((noisy, times))
        return noise - latents

    assert schedule.loss(perfect, latents, noise, TIMES).abs().max() < 1e-9
    assert torch.allclose(seen[0][1], share * 1000, rtol=1e-4)
    s = share.view(-1, 1, 1, 1)
    assert torch.allclose(seen[0][0], (1 - s) * latents + s * noise, atol=1e-5)
    off_by_one = schedule.loss(lambda noisy, times: noise - latents + 1, latents, noise, TIMES)
    logit = (even / (1 - even)).log()
    density = torch.exp(-(logit**2) / 2) / (math.sqrt(2 * math.pi) * even * (1 - even))
    assert torch.allclose(off_by_one, density, rtol=1e-4)


def test_flow_weights_average_to_one_and_none_dominates() -> None:
    schedule = FlowSchedule(FlowMatchEulerDiscreteScheduler(), CPU, num_tokens=16, even=False)
    one = torch.ones(1000, 1, 1, 1)
    weights = schedule.loss(lambda noisy, times: one, one, one, torch.arange(1000))
    assert abs(weights.mean() - 1) < 1e-3
    assert weights.max() < 1.7


def test_each_walk_has_a_scheduler_of_its_own() -> None:
    schedule = NoiseSchedule(PNDMScheduler(skip_prk_steps=True), CPU)
    first = schedule.begin(3)
    first.step(torch.ones(1, 4, 8, 8), first.timesteps[0], torch.ones(1, 4, 8, 8))
    assert len(first.ets) == 1
    assert not schedule.begin(3).ets


def test_schedulers_that_no_seed_decides_and_unknown_predictions_are_refused() -> None:
    with pytest.raises(DataCorrupt, match=r"is SASolverScheduler.*DDIMScheduler.*LCMScheduler"):
        NoiseSchedule(SASolverScheduler(), CPU)
    with pytest.raises(DataCorrupt, match="predicts 'sample'"):
        NoiseSchedule(DDIMScheduler(prediction_type="sample"), CPU)
    with pytest.raises(DataCorrupt, match="FlowMatchEulerDiscreteScheduler"):
        FlowSchedule(DDIMScheduler(), CPU, num_tokens=16, even=False)
    with pytest.raises(DataCorrupt, match="invert_sigmas"):
        FlowSchedule(FlowMatchEulerDiscreteScheduler(invert_sigmas=True), CPU, num_tokens=16, even=False)


def walked(schedule: Schedule, noise: torch.Tensor, steps: int = 4) -> torch.Tensor:
    """Steps with a network that makes of its input something like noise."""
    scheduler, drawn = schedule.begin(steps), schedule.drawn(noise)
    latents = schedule.first(scheduler, noise)
    for time in scheduler.timesteps:
        said = schedule.seen(scheduler, latents, time).roll(1, -1).tanh()
        latents = scheduler.step(said, time, latents, **drawn).prev_sample
    return latents


DRAWING = {
    "LCM": LCMScheduler(),
    "TCD": TCDScheduler(),
    "Euler, ancestral": EulerAncestralDiscreteScheduler(),
    "KDPM2, ancestral": KDPM2AncestralDiscreteScheduler(),
    "DDPM": DDPMScheduler(),
    "DPM-Solver++ in single steps, stochastic": DPMSolverSinglestepScheduler(algorithm_type="sde-dpmsolver++"),
    "DPM-Solver++, stochastic": DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"),
}


@pytest.mark.parametrize("name", DRAWING)
def test_what_is_drawn_on_the_way_is_each_images_own(name: str) -> None:
    schedule, noise = NoiseSchedule(DRAWING[name], CPU), tensors()[0]
    together = walked(schedule, noise)
    assert torch.equal(walked(schedule, noise), together), "nothing else decides"
    for row in range(3):
        assert torch.equal(walked(schedule, noise[row : row + 1])[0], together[row])
    assert torch.equal(walked(schedule, noise[[2, 0]]), together[[2, 0]])
    same = walked(schedule, noise[:1].expand(2, -1, -1, -1))
    assert torch.equal(same[0], same[1]), "two rows of one noise are one image"
    torch.manual_seed(5)
    assert torch.equal(walked(schedule, noise), together), "the process's own generator is not asked"
    scheduler = schedule.begin(4)
    latents = schedule.first(scheduler, noise)
    for time in scheduler.timesteps:
        latents = scheduler.step(schedule.seen(scheduler, latents, time).roll(1, -1).tanh(), time, latents).prev_sample
    assert not torch.allclose(latents, together), f"{name} does draw noise on the way"


def test_a_scheduler_that_draws_nothing_is_given_nothing() -> None:
    assert NoiseSchedule(DDIMScheduler(), CPU).drawn(tensors()[0]) == {}
    assert FlowSchedule(FlowMatchEulerDiscreteScheduler(), CPU, num_tokens=16, even=False).drawn(tensors()[0]) == {}


def test_steps_that_a_consistency_model_never_learned_are_refused() -> None:
    schedule = NoiseSchedule(LCMScheduler(), CPU)
    assert len(schedule.begin(4).timesteps) == 4
    with pytest.raises(SettingsError, match="51 steps are not for LCMScheduler"):
        schedule.begin(51)
