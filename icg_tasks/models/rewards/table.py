"""Every reward there is, whether a gradient flows through it, and how far it must vary. A new one is a file and a line here.

The file ``NAME.py`` holds the plain function ``NAME_reward(images, context)``; where the reward brings a judge of its own, also
``load_judge(checkpoint, device)``. Files are imported when they are first asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor

from icg_tasks.models.rewards.context import RewardContext

_PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Reward:
    """A function from images [B, 3, H, W] in [0, 1] and their context to scores [B]."""

    name: str
    differentiable: bool
    floor: float  # deviation that normalisation never goes below, in the reward's own unit: what is noise, not merit
    own_judge: bool = False  # whether it has a checkpoint of its own (settings: backbones.judges)

    @property
    def function(self) -> Callable[[Tensor, RewardContext], Tensor]:
        """The reward itself."""
        return cast("Callable[[Tensor, RewardContext], Tensor]", getattr(self._file, f"{self.name}_reward"))

    def load_judge(self, checkpoint: str, device: torch.device | str) -> Any:
        """Its judge, frozen, on a device; raises DataMissing or DataCorrupt where the checkpoint is none for this reward."""
        return self._file.load_judge(checkpoint, device)

    @property
    def _file(self) -> Any:
        return import_module(f"{_PACKAGE}.{self.name}")


_ALL = (
    Reward(name="preference", differentiable=True, floor=0.25),
    Reward(name="relevance", differentiable=True, floor=0.02),
    Reward(name="aesthetic", differentiable=True, floor=0.25),
    Reward(name="public_aesthetic", differentiable=True, floor=0.25, own_judge=True),
    Reward(name="title_match", differentiable=True, floor=0.5, own_judge=True),
    Reward(name="pickscore", differentiable=True, floor=0.25, own_judge=True),
    Reward(name="hps", differentiable=True, floor=0.005, own_judge=True),
    Reward(name="imagereward", differentiable=True, floor=0.25, own_judge=True),
)

REWARDS: dict[str, Reward] = {reward.name: reward for reward in _ALL}
SCALE_FLOORS: dict[str, float] = {name: reward.floor for name, reward in REWARDS.items()}
