"""Policy gradient for rewards that no gradient flows through: the better of several covers of the same item and user.

Group-relative, clipped (GRPO, arXiv 2402.03300; on denoising steps DDPO, arXiv 2305.13301, and Flow-GRPO, arXiv 2505.05470):
covers of one item and user are drawn by random steps, their rewards are compared within the group, and steps that led to the
better ones become likelier. Steps are held near those of the adapter that rewards began with. Knows models; no store.
Legend: G items, P covers of a group, B = G x P images, S random steps.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from icg_tasks.backbones.denoisers.conditioning import Conditioning
from icg_tasks.config.settings import AdapterSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.models.icg.trajectory import Walk, Walker, log_likelihood

OPTIMISERS = ("declared", "policy")


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What was drawn and how good it was found; fixed while the policy is updated on it."""

    walk: Walk
    start_means: list[Tensor]  # where the starting adapter's steps would have led [S, B, N, H, W]
    advantage_B: Tensor
    rewards: dict[str, float]


def split_rewards(
    weights: dict[str, float], differentiable: dict[str, bool], settings: AdapterSettings
) -> tuple[dict[str, float], dict[str, float]]:
    """Weights of rewards that are back-propagated, and of those that are climbed by policy gradient.

    Raises:
        SettingsError: an unknown ``adapter.reward_optimiser``, or a group that has nobody to compare with.
    """
    if settings.reward_optimiser not in OPTIMISERS:
        raise SettingsError(f"adapter.reward_optimiser={settings.reward_optimiser!r}; expected {' or '.join(OPTIMISERS)}")
    always = settings.reward_optimiser == "policy"
    climbed = {name: weight for name, weight in weights.items() if always or not differentiable[name]}
    if climbed and settings.policy_group < 2:
        raise SettingsError(
            f"adapter.policy_group={settings.policy_group}, and {', '.join(climbed)} is climbed by policy gradient: a cover is "
            "only better than others of its item and user, and one alone is noise; set adapter.policy_group=4 or more"
        )
    if climbed and settings.denoising_steps < 2:
        raise SettingsError(
            "adapter.denoising_steps=1 leaves policy gradient no random step (the last has none); set 2 or more"
        )
    return {name: weight for name, weight in weights.items() if name not in climbed}, climbed


def group_advantage(values_B: Tensor, group: int, floor: float) -> Tensor:
    """How much better than its group each cover is, in the group's deviations (at least ``floor``); sums to zero per group.

    >>> group_advantage(torch.tensor([1.0, 3.0, 5.0, 5.0]), 2, 0.1)
    tensor([-1.,  1.,  0.,  0.])
    """
    values_GP = values_B.detach().view(-1, group)
    spread_G1 = values_GP.std(dim=1, keepdim=True, unbiased=False).clamp(min=floor)
    return ((values_GP - values_GP.mean(dim=1, keepdim=True)) / spread_G1).flatten()


def walk_seeds(seeds: list[int], group: int) -> list[int]:
    """A seed for each cover of each item's group, from the item's own."""
    return [int(np.random.default_rng([seed, number]).integers(2**62)) for seed in seeds for number in range(group)]


def policy_loss(
    walker: Walker, told: Conditioning, rollout: Rollout, settings: AdapterSettings
) -> tuple[Tensor, dict[str, float]]:
    """Clipped loss over all random steps, plus the divergence from the starting adapter's steps; differentiable in ``told``."""
    walk, advantage = rollout.walk, rollout.advantage_B
    climb = torch.zeros((), device=advantage.device)
    divergence, clipped = torch.zeros_like(climb), torch.zeros_like(climb)
    count = len(walk.steps)
    for number, step in enumerate(walk.steps):
        mean = walker.mean(walk.before[number], step, told)
        ratio = (log_likelihood(walk.after[number], mean, step.deviation) - walk.log_likelihood[number]).exp()
        near = ratio.clamp(1 - settings.policy_clip, 1 + settings.policy_clip)
        climb = climb - torch.minimum(advantage * ratio, advantage * near).mean() / count
        moved = (mean - rollout.start_means[number]) / step.deviation
        divergence = divergence + 0.5 * moved.square().mean() / count
        clipped = clipped + (ratio.detach() != near.detach()).float().mean() / count
    figures = {"policy": float(climb.detach()), "divergence": float(divergence.detach()), "clipped": float(clipped)}
    return climb + settings.policy_divergence_weight * divergence, figures
