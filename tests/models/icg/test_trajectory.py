"""Random denoising steps: without chance the denoiser's own path, with it the right scatter, and a known likelihood."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from icg_tasks.backbones.denoisers.conditioning import Conditioning
from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import Compute
from icg_tasks.config import load_settings
from icg_tasks.models.icg.trajectory import Level, Walker, log_likelihood, walker_of

TOLD = Conditioning(sequence=torch.zeros(4_000, 1, 1), pooled=torch.zeros(4_000, 1))


class Certain:
    """Expects the same clean latent, whatever it is told, on a path of diffusion or of flow matching."""

    def __init__(self, flow: bool) -> None:
        self.flow = flow

    def levels(self, steps: int) -> list[Level]:
        shares = [1 - step / steps for step in range(steps)]
        return [
            Level(time=torch.tensor(share), signal=1 - share if self.flow else (1 - share**2) ** 0.5, noise=share)
            for share in shares
        ]

    def clean(self, noisy_BNHW: Tensor, level: Level, told: Conditioning) -> Tensor:
        return torch.full_like(noisy_BNHW, 0.5)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("noisiness", [0.3, 1.0])
def test_every_step_has_the_noise_of_its_level(flow: bool, noisiness: float) -> None:
    walker = Walker(estimator=Certain(flow), untold=TOLD.rows(slice(0, 1)), guidance=1.0, noisiness=noisiness)
    noise = torch.randn(4_000, 1, 1, 1, generator=torch.Generator().manual_seed(1))
    walk = walker.walk(TOLD, noise, 4, list(range(4_000)))
    assert len(walk.steps) == 3  # the last one ends clean
    for step, latents in zip(walk.steps, walk.after, strict=True):
        assert latents.mean().item() == pytest.approx(0.5 * step.signal, abs=0.05)
        assert latents.std().item() == pytest.approx(step.noise, rel=0.05)
    assert torch.allclose(walk.latents_BNHW, torch.full_like(noise, 0.5), atol=1e-5)


def test_the_likelihood_is_the_normal_laws() -> None:
    generator = torch.Generator().manual_seed(2)
    after, mean, other = (torch.randn(3, 2, 4, 4, generator=generator) for _ in range(3))
    found = log_likelihood(after, mean, 0.7) - log_likelihood(after, other, 0.7)
    law = (Normal(mean, 0.7).log_prob(after) - Normal(other, 0.7).log_prob(after)).sum(dim=(1, 2, 3)) / 32**0.5
    assert torch.allclose(found, law, atol=1e-4)


def test_without_chance_it_is_the_denoisers_own_sampler_and_a_seed_is_an_images_own() -> None:
    settings = load_settings("tiny", ["backbones.precision=float32"])
    denoiser = open_denoiser(settings, Compute(device=torch.device("cpu"), bfloat16=False))
    told, untold = denoiser.encode_text(["a red boat", "a green house"]), denoiser.unconditional()
    noise = denoiser.noise([1, 2])
    still = walker_of(denoiser, untold, guidance=2.0, noisiness=0.0)
    walk = still.walk(told, noise, 4, [5, 6])
    assert walk.steps == []
    own = denoiser.sample(told, untold, noise, steps=4, guidance=2.0)
    assert torch.allclose(walk.latents_BNHW, own, atol=1e-3)
    lively = walker_of(denoiser, untold, guidance=2.0, noisiness=1.0)
    both, alone = lively.walk(told, noise, 4, [5, 6]), lively.walk(told.rows(slice(1, 2)), noise[1:], 4, [6])
    assert torch.allclose(both.latents_BNHW[1:], alone.latents_BNHW, atol=1e-4)
    assert (both.latents_BNHW - own).abs().mean() > 0.05
    repeated = torch.stack([lively.mean(x, step, told) for x, step in zip(both.before, both.steps, strict=True)])
    assert torch.allclose(
        log_likelihood(both.after[0], repeated[0], both.steps[0].deviation), both.log_likelihood[0], atol=1e-4
    )
