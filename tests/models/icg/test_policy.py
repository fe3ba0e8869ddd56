"""Policy gradient: who is climbed by it, a group of one refused, better covers likelier, a reward without gradient rises."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from icg_tasks.backbones.denoisers.conditioning import Conditioning
from icg_tasks.backbones.device import choose_compute
from icg_tasks.config.settings import AdapterSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.lake.registry import require_champion
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.audience import read_audience
from icg_tasks.models.icg.catalogue import read_catalogue
from icg_tasks.models.icg.ground import choose_start, open_studio
from icg_tasks.models.icg.policy import Rollout, group_advantage, policy_loss, split_rewards, walk_seeds
from icg_tasks.models.icg.record import sample_covers
from icg_tasks.models.icg.training import AdapterTraining
from icg_tasks.models.icg.trajectory import Level, Walker
from icg_tasks.models.preference.model import KIND
from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.table import REWARDS, Reward
from tests.models.icg.planting import plant

WEIGHTS = {"graded": 1.0, "counted": 0.5}
DIFFERENTIABLE = {"graded": True, "counted": False}


def test_a_reward_is_climbed_where_it_has_no_gradient_or_where_settings_say_so() -> None:
    assert split_rewards(WEIGHTS, DIFFERENTIABLE, AdapterSettings()) == ({"graded": 1.0}, {"counted": 0.5})
    always = AdapterSettings(reward_optimiser="policy")
    assert split_rewards(WEIGHTS, DIFFERENTIABLE, always) == ({}, WEIGHTS)


def test_a_group_of_one_is_refused_only_where_somebody_would_be_compared() -> None:
    alone = AdapterSettings(policy_group=1)
    assert split_rewards({"graded": 1.0}, DIFFERENTIABLE, alone) == ({"graded": 1.0}, {})
    with pytest.raises(SettingsError, match=r"policy_group=1, and counted"):
        split_rewards(WEIGHTS, DIFFERENTIABLE, alone)
    with pytest.raises(SettingsError, match="reward_optimiser"):
        split_rewards(WEIGHTS, DIFFERENTIABLE, AdapterSettings(reward_optimiser="magic"))
    with pytest.raises(SettingsError, match="random step"):
        split_rewards(WEIGHTS, DIFFERENTIABLE, AdapterSettings(denoising_steps=1))


class Obedient:
    """Draws what it is told: the clean latent is the pooled condition."""

    def levels(self, steps: int) -> list[Level]:
        return [Level(time=torch.tensor(n), signal=n / steps, noise=1 - n / steps) for n in range(steps)]

    def clean(self, noisy_BNHW: Tensor, level: Level, told: Conditioning) -> Tensor:
        return told.pooled[:, :, None, None].expand_as(noisy_BNHW)


def told(value: Tensor, rows: int) -> Conditioning:
    return Conditioning(sequence=torch.zeros(rows, 1, 1), pooled=value.expand(rows, 1))


def rollout(walker: Walker, value: Tensor, rows: int) -> tuple[Rollout, Tensor]:
    walk = walker.walk(told(value.detach(), rows), torch.zeros(rows, 1, 1, 1), 3, walk_seeds([7], rows))
    score = walk.after[-1].flatten()
    advantage = (score - score.mean()) / score.std()
    means = [walker.mean(x, step, told(torch.zeros(1), rows)) for x, step in zip(walk.before, walk.steps, strict=True)]
    return Rollout(walk=walk, start_means=means, advantage_B=advantage, rewards={}), score


def test_steps_to_better_covers_become_likelier_within_the_clip_and_near_the_start() -> None:
    walker = Walker(estimator=Obedient(), untold=told(torch.zeros(1), 1), guidance=1.0, noisiness=1.0)
    value = torch.zeros(1, requires_grad=True)
    drawn, _ = rollout(walker, value, 64)
    settings = AdapterSettings(policy_clip=0.1, policy_divergence_weight=0.0)
    loss, figures = policy_loss(walker, told(value, 64), drawn, settings)
    loss.backward()
    assert value.grad is not None
    assert value.grad.item() < -0.1  # larger values are better
    assert figures["clipped"] == pytest.approx(0.0)
    assert figures["divergence"] == pytest.approx(0.0, abs=1e-6)
    moved = torch.full((1,), 3.0, requires_grad=True)
    far, figures = policy_loss(walker, told(moved, 64), drawn, settings)
    assert figures["clipped"] > 0.8
    assert figures["divergence"] > 1.0
    held, _ = policy_loss(walker, told(moved, 64), drawn, AdapterSettings(policy_divergence_weight=0.5))
    assert held > far


def light(images_BCHW: Tensor, context: RewardContext) -> Tensor:
    """Whole steps of brightness: no gradient at all."""
    return (images_BCHW.mean(dim=(1, 2, 3)) * 200).round()


class Painter(nn.Module):
    """A small frozen network that estimates the clean latent from the noisy one and what it is told."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.register_buffer("mix", torch.randn(16, 8, generator=generator) / 8**0.5)

    def levels(self, steps: int) -> list[Level]:
        return Obedient().levels(steps)

    def clean(self, noisy_BNHW: Tensor, level: Level, told: Conditioning) -> Tensor:
        return torch.tanh(0.2 * noisy_BNHW + (told.pooled @ self.mix.T).view(-1, 1, 4, 4))


def test_a_reward_without_gradient_rises_on_a_small_denoiser() -> None:
    torch.manual_seed(0)
    nothing = Conditioning(sequence=torch.zeros(1, 1, 1), pooled=torch.zeros(1, 8))
    walker = Walker(estimator=Painter(), untold=nothing, guidance=1.5, noisiness=1.0)
    settings, group = AdapterSettings(policy_divergence_weight=0.001), 16
    teller = nn.Linear(3, 8)
    optimiser = torch.optim.Adam(teller.parameters(), lr=0.05)
    items = torch.eye(3)

    def reward(latents_BNHW: Tensor) -> Tensor:
        return (latents_BNHW > 0.25).sum(dim=(1, 2, 3)).float()  # counted: no gradient at all

    def conditions() -> Conditioning:
        pooled = teller(items).repeat_interleave(group, dim=0)
        return Conditioning(sequence=pooled[:, None], pooled=pooled)

    course, start = [], None
    for step in range(30):
        noise = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(step)).repeat_interleave(group, dim=0)
        walk = walker.walk(conditions(), noise, 4, walk_seeds([step, step + 100, step + 200], group))
        values = reward(walk.latents_BNHW)
        course.append(values.mean().item())
        with torch.no_grad():
            start = conditions() if start is None else start
            means = [walker.mean(x, taken, start) for x, taken in zip(walk.before, walk.steps, strict=True)]
        drawn = Rollout(walk=walk, start_means=means, advantage_B=group_advantage(values, group, 0.1), rewards={})
        for _ in range(2):
            optimiser.zero_grad()
            policy_loss(walker, conditions(), drawn, settings)[0].backward()
            optimiser.step()
    assert sum(course[-5:]) / 5 > sum(course[:5]) / 5 + 3  # of 16 places


class Light(Reward):
    """A line of the table without a file."""

    @property
    def function(self) -> Callable[[Tensor, RewardContext], Tensor]:
        return light


@pytest.mark.slow
def test_a_reward_without_gradient_rises_on_the_shipped_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: items set aside, drawn without chance, brighter by at least 8 of 200 after 16 steps."""
    monkeypatch.setitem(REWARDS, "light", Light(name="light", differentiable=False, floor=1.0))
    context = plant(
        tmp_path, "adapter.preference_weight=0", "adapter.relevance_weight=0", "adapter.aesthetic_weight=0",
        "adapter.more_rewards=light=1", "adapter.anchor_weight=0", "adapter.denoising_weight=0", "adapter.learning_rate=1e-3",
        "adapter.batch_size=8", "adapter.reward_steps=16", "adapter.evaluate_every=16", "adapter.canary_rollback=false",
        "adapter.policy_divergence_weight=0", "adapter.images_every=0", "adapter.ema_decay=0",
    )  # fmt: skip
    preference = require_champion(context.store, KIND, context.run_date)
    studio = open_studio(context, preference, choose_compute(context.settings.backbones))
    learned, aside, _ = read_catalogue(context)
    training = AdapterTraining(
        studio,
        choose_start(context, studio, 256).adapter,
        (learned, aside),
        read_audience(context, 256),
        context.settings.adapter,
        folder=tmp_path / "checkpoint",
        identity="none",
        aligns=False,
        say=print,
        stop=lambda save: None,
    )

    def brightness(adapter: IcgAdapter) -> float:
        return float(200 * sample_covers(studio, adapter, aside, training.audience).mean())

    before = brightness(training.start)
    progress = training.run().progress
    after = brightness(training.adapter)
    print(before, after, [row["light"] for row in progress.curves])
    assert after > before + 8  # measured: 127.0 to 153.7
