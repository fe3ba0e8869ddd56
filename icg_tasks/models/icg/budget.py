"""Whether a reward step fits the memory there is: an estimate per backbone, measured on one row, and a refusal with advice.

Knows a training's parts and settings; trains nothing. Legend: G items of a step, B images.
"""

from dataclasses import dataclass, replace

import torch

from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.batch import Batch
from icg_tasks.models.icg.objective import Objective
from icg_tasks.models.training import room
from icg_tasks.models.training.memory import bytes_of, kept_for_backward, modules_of, tensors_of
from icg_tasks.models.training.processes import Processes
from icg_tasks.models.training.running import RunningScale


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Bytes by what holds them; ``rewards``, ``policy`` and ``kept`` are activations of the whole batch."""

    language: int
    denoiser: int
    judges: int
    adapter: int
    optimiser: int
    rewards: int
    policy: int
    kept: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(vars(self).values())

    def told(self) -> str:
        """One line."""
        return room.told(vars(self))


def estimate(objective: Objective, adapter: IcgAdapter, batch: Batch) -> Budget:
    """From weights as they lie there, and from what one cover and one item keep for the backward pass."""
    studio = objective.studio
    frozen = {name: tensors_of(modules_of(getattr(studio, name))) for name in ("language", "denoiser", "judges")}
    weights = [tensor for part in (*frozen.values(), tensors_of([adapter, objective.start])) for tensor in part]
    alone = replace(objective, scale=RunningScale({}), processes=Processes())
    one = batch.part(slice(0, 1), users_per_item=1)
    with torch.enable_grad():
        reading = studio.read(one.items, adapter)
        with kept_for_backward(weights) as of_cover:
            states = studio.states(adapter, reading)
            loss, _ = alone.rewards(adapter, states, one)
        with kept_for_backward(weights) as of_item:
            alone.kept(adapter, states, reading, one, loss)
        rollout = alone.explore(adapter, one)
        with kept_for_backward(weights) as of_group:
            if rollout is not None:
                alone.climb(adapter, states, one, rollout)
    own = bytes_of(tensors_of([adapter]))
    return Budget(
        language=bytes_of(frozen["language"]),
        denoiser=bytes_of(frozen["denoiser"]),
        judges=bytes_of(frozen["judges"]),
        adapter=own,
        optimiser=room.COPIES * own,
        rewards=int(room.WORK * of_cover.bytes * len(batch.users_BV)),
        policy=int(room.WORK * of_group.bytes * len(batch.items)),
        kept=int(room.WORK * of_item.bytes * len(batch.items)),
    )


def require_room(budget: Budget, settings: AdapterSettings, device: torch.device) -> None:
    """Raise SettingsError with what would help, where the device has less than the estimate."""
    advice = []
    if settings.batch_size > 1:
        advice.append(f"adapter.batch_size={max(1, settings.batch_size // 2)}")
    if settings.reward_gradient_steps > 1:
        advice.append("adapter.reward_gradient_steps=1")
    if not settings.gradient_checkpointing:
        advice.append("adapter.gradient_checkpointing=true")
    if budget.policy:
        advice.append("a smaller adapter.policy_group")
    advice.append("a smaller covers.size_pixels")
    room.require_room(
        vars(budget),
        f"a reward step of {settings.batch_size} covers with {settings.reward_gradient_steps} graded steps",
        limit_gb=settings.memory_limit_gb,
        setting="adapter.memory_limit_gb",
        device=device,
        advice=advice,
    )
