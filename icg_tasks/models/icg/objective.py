"""One step's loss of the reward phase: rewards by name, and what keeps them from being hacked.

Rewards of sampled covers (normalised by running deviations) are back-propagated through the last denoising steps, or, where no
gradient flows through them, climbed by policy gradient. Beside them stand the denoising loss on real covers, an anchor to the
starting adapter's unpersonalised condition, and dispersion (users who differ should get covers that differ).
Knows models; no store. Legend: G items of a step, R users per item, B = G * R images, V = 2E user vector, K meta tokens.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.denoisers.conditioning import Conditioning
from icg_tasks.backbones.language.reading import Reading
from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.batch import Batch
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.policy import Rollout, group_advantage, policy_loss, split_rewards, walk_seeds
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.icg.trajectory import Walker, walker_of
from icg_tasks.models.rewards.chosen import reward_weights
from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.table import REWARDS
from icg_tasks.models.training.processes import Processes
from icg_tasks.models.training.running import RunningScale

_TYPICAL_LENGTH = 1.0
_DISPERSION_SHARPNESS = 2.0

Parts = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What stays the same over the steps. ``start``: the frozen adapter that the rewards began with; ``covers``: the catalogue.

    A mean over B rows or G items is the mean of the processes' means, since all have as many; what is no such mean (running
    scales) is taken over the rows of all processes. Dispersion compares the users of one item, who are all in one process.
    """

    studio: Studio
    start: IcgAdapter
    covers: Catalogue
    scale: RunningScale
    settings: AdapterSettings
    processes: Processes = field(default_factory=Processes)

    def __post_init__(self) -> None:
        self.shared_out  # noqa: B018  settings that cannot work are refused before anything is drawn

    @cached_property
    def shared_out(self) -> tuple[dict[str, float], dict[str, float]]:
        """Weights of rewards that are back-propagated, and of those climbed by policy gradient; raises SettingsError."""
        differentiable = {name: reward.differentiable for name, reward in REWARDS.items()}
        return split_rewards(reward_weights(self.settings), differentiable, self.settings)

    def loss(self, adapter: IcgAdapter, batch: Batch, rollout: Rollout | None = None) -> tuple[Tensor, Parts]:
        """Loss and its parts as numbers, of this process's rows."""
        reading = self.studio.read(batch.items, adapter)
        states = self.studio.states(adapter, reading)
        loss, parts = self.rewards(adapter, states, batch)
        if rollout is not None:
            climb, found = self.climb(adapter, states, batch, rollout)
            loss, parts = loss + climb, parts | found
        kept, more = self.kept(adapter, states, reading, batch, loss)
        return kept, parts | more

    def rewards(self, adapter: IcgAdapter, states_GKD: Tensor, batch: Batch) -> tuple[Tensor, Parts]:
        """Minus the weighted rewards of one cover for each item and user, plus dispersion; nothing where none is graded."""
        studio, settings = self.studio, self.settings
        count, users = batch.users_per_item, batch.users_BV.to(states_GKD.device)
        parts: Parts = {}
        loss = torch.zeros((), device=users.device)
        weights = self.shared_out[0]
        if not weights:
            return loss, parts
        told = adapter(states_GKD.repeat_interleave(count, dim=0), users)
        noise = studio.denoiser.noise(batch.seeds).repeat_interleave(count, dim=0)
        images = studio.draw(told, noise, settings.reward_gradient_steps)
        context = self._context(batch, count, users)
        for name, weight in weights.items():
            values = REWARDS[name].function(images, context)
            parts[name] = float(values.detach().mean())
            loss = loss - weight * self._normalised(name, values).mean()
        looks = context.image_vectors(images).view(len(batch.items), count, -1)
        dispersion = dispersion_loss(looks, users.view(len(batch.items), count, -1))
        parts["dispersion"] = float(dispersion.detach())
        return loss + settings.dispersion_weight * dispersion, parts

    @torch.no_grad()
    def explore(self, adapter: IcgAdapter, batch: Batch) -> Rollout | None:
        """``policy_group`` covers of each item for its first user, and their advantages; None where nothing asks for them."""
        weights, group = self.shared_out[1], self.settings.policy_group
        if not weights:
            return None
        pairs = batch.part(slice(None), users_per_item=1)
        users = pairs.users_BV.to(self.studio.compute.device)
        reading = self.studio.read(pairs.items, adapter)
        told = self._grouped(adapter(self.studio.states(adapter, reading), users))
        before = self._grouped(self.start(self.studio.states(self.start, reading), users))
        noise = self.studio.denoiser.noise(pairs.seeds).repeat_interleave(group, dim=0)
        walk = self._walker.walk(told, noise, self.studio.steps, walk_seeds(pairs.seeds, group))
        images = self.studio.denoiser.decode(walk.latents_BNHW).clamp(0.0, 1.0)
        context = self._context(pairs, group, users.repeat_interleave(group, dim=0))
        advantage, parts = torch.zeros(len(images), device=users.device), {}
        for name, weight in weights.items():
            values = REWARDS[name].function(images, context)
            parts[name] = float(values.mean())
            advantage = advantage + weight * group_advantage(values, group, REWARDS[name].floor)
        means = [self._walker.mean(latents, step, before) for latents, step in zip(walk.before, walk.steps, strict=True)]
        return Rollout(walk=walk, start_means=means, advantage_B=advantage, rewards=parts)

    @cached_property
    def _walker(self) -> Walker:
        studio, noisiness = self.studio, self.settings.policy_noisiness
        return walker_of(studio.denoiser, studio.unconditional, guidance=studio.guidance, noisiness=noisiness)

    def _grouped(self, told: Conditioning) -> Conditioning:
        """Each row for all covers of its group."""
        rows = torch.arange(len(told)).repeat_interleave(self.settings.policy_group)
        return told.rows(rows.to(self.studio.compute.device))

    def _context(self, batch: Batch, count: int, users_BV: Tensor) -> RewardContext:
        """For ``count`` covers of each item."""
        return RewardContext(
            models=self.studio.judges,
            title_vectors=self.studio.judges.titles(batch.items.titles).repeat_interleave(count, dim=0),
            user_vectors=of_typical_length(users_BV),
            reward_cap=self.settings.reward_cap,
            titles=[title for title in batch.items.titles for _ in range(count)],
        )

    def climb(self, adapter: IcgAdapter, states_GKD: Tensor, batch: Batch, rollout: Rollout) -> tuple[Tensor, Parts]:
        """The policy's loss on what was explored."""
        users = batch.part(slice(None), users_per_item=1).users_BV.to(states_GKD.device)
        loss, parts = policy_loss(self._walker, self._grouped(adapter(states_GKD, users)), rollout, self.settings)
        return loss, rollout.rewards | parts

    def kept(
        self, adapter: IcgAdapter, states_GKD: Tensor, reading: Reading, batch: Batch, loss: Tensor
    ) -> tuple[Tensor, Parts]:
        """``loss`` plus what holds the adapter to its start and to real covers."""
        anchor = _anchor_loss(adapter(states_GKD, None), self._plain(reading))
        denoising = denoising_loss(self.studio, adapter, states_GKD, batch, self.covers)
        loss = loss + self.settings.anchor_weight * anchor
        loss = loss + self.settings.denoising_weight * denoising
        return loss, {"anchor": float(anchor.detach()), "denoising": float(denoising.detach())}

    def _normalised(self, name: str, values_B: Tensor) -> Tensor:
        """By the running scale of all processes' rows; this process's rows of it."""
        whole = self.scale.normalise(name, self.processes.gather_graded(values_B))
        return whole[self.processes.own(len(whole))]

    @torch.no_grad()
    def _plain(self, reading: Reading) -> Conditioning:
        found: Conditioning = self.start(self.studio.states(self.start, reading), None)
        return found.detach()


def of_typical_length(users_BV: Tensor) -> Tensor:
    """Short user vectors brought to the length of an average user's, so that no segment's wishes count for less; zero stays."""
    length_B1 = users_BV.norm(dim=-1, keepdim=True)
    longer = users_BV * (_TYPICAL_LENGTH / length_B1.clamp(min=1e-6)).clamp(min=1.0)
    return torch.where(length_B1 > 1e-6, longer, users_BV)


def dispersion_loss(looks_GRE: Tensor, users_GRV: Tensor) -> Tensor:
    """Mean over items of log mean exp(-2 |look - look'|^2), pairs weighted by how far their users point apart; at most 0."""
    direction = functional.normalize(users_GRV, dim=-1)
    apart_GRR = (1 - direction @ direction.transpose(1, 2)) / 2
    weight_GRR = torch.triu(apart_GRR, diagonal=1)
    near_GRR = torch.exp(-_DISPERSION_SHARPNESS * torch.cdist(looks_GRE, looks_GRE).square())
    mean_G = (weight_GRR * near_GRR).sum(dim=(1, 2)) / weight_GRR.sum(dim=(1, 2)).clamp(min=1e-6)
    return mean_G.clamp(min=1e-6).log().mean()


def denoising_loss(studio: Studio, adapter: IcgAdapter, states_GKD: Tensor, batch: Batch, covers: Catalogue) -> Tensor:
    """Denoising of real covers, told what the adapter makes of the item and the user the cover was chosen for."""
    latents = studio.latents([covers.images[row] for row in batch.targets])
    told = adapter(states_GKD, batch.target_users_GV.to(studio.compute.device))
    noise = studio.denoiser.noise([seed ^ 1 for seed in batch.seeds])
    return studio.denoiser.denoising_loss(latents, told, noise, batch.times_G.to(studio.compute.device)).mean()


def _anchor_loss(now: Conditioning, before: Conditioning) -> Tensor:
    sequence = functional.mse_loss(now.sequence, before.sequence)
    return sequence + functional.mse_loss(now.pooled, before.pooled) if now.pooled.shape[-1] else sequence


def as_row(parts: dict[str, float]) -> dict[str, float]:
    """Rounded for a card."""
    return {name: round(value, 5) for name, value in parts.items()}
