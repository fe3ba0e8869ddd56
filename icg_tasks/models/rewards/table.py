"""Every reward there is: its function, and whether a gradient flows through it. A new one is a file and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from icg_tasks.models.rewards.aesthetic import aesthetic_reward
from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.preference import preference_reward
from icg_tasks.models.rewards.relevance import relevance_reward


@dataclass(frozen=True, kw_only=True)
class Reward:
    """A function from images [B, 3, H, W] in [0, 1] and their context to scores [B]."""

    function: Callable[[Tensor, RewardContext], Tensor]
    differentiable: bool


REWARDS: dict[str, Reward] = {
    "aesthetic": Reward(function=aesthetic_reward, differentiable=True),
    "relevance": Reward(function=relevance_reward, differentiable=True),
    "preference": Reward(function=preference_reward, differentiable=True),
}
