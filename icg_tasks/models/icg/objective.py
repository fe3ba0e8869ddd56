"""One step's loss of the reward phase: rewards by name, and what keeps them from being hacked.

Rewards of sampled covers (normalised by running deviations), plus: the denoising loss on real covers, an anchor to the
starting adapter's unpersonalised condition, and dispersion (users who differ should get covers that differ).
Knows models; no store. Legend: G items of a step, R users per item, B = G * R images, V = 2E user vector.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.denoisers.conditioning import Conditioning
from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.audience import Audience
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.icg.targets import Targets
from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.table import REWARDS
from icg_tasks.models.training.running import RunningScale

USERS_PER_ITEM = 4
SCALE_FLOORS = {"preference": 0.25, "relevance": 0.02, "aesthetic": 0.25}
_TYPICAL_LENGTH = 1.0
_DISPERSION_SHARPNESS = 2.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one step draws: items, users per item, noise; from (seed, step) alone."""

    items: Catalogue
    users_BV: Tensor
    seeds: list[int]  # one per item: users of an item share the noise, so that only the user makes a difference
    times_G: Tensor
    targets: list[int]  # catalogue rows whose covers the denoising loss is taken on, one per item
    target_users_GV: Tensor


def draw_batch(
    catalogue: Catalogue, audience: Audience, targets: Targets, settings: AdapterSettings, step: int, num_times: int
) -> Batch:
    """The batch of a step; the same for the same seed and step."""
    rng = np.random.default_rng([settings.seed, step])
    groups = max(1, settings.batch_size // USERS_PER_ITEM)
    rows = rng.choice(len(catalogue), size=groups, replace=len(catalogue) < groups)
    users = audience.draw(groups * USERS_PER_ITEM, settings.user_dropout, rng)
    target_users = audience.draw(groups, settings.user_dropout, rng)
    return Batch(
        items=catalogue.part(rows.tolist()),
        users_BV=torch.from_numpy(users),
        seeds=rng.integers(2**62, size=groups).tolist(),
        times_G=torch.from_numpy(rng.integers(num_times, size=groups)),
        targets=targets.choose(rows, target_users, rng),
        target_users_GV=torch.from_numpy(target_users),
    )


def step_loss(
    studio: Studio,
    adapter: IcgAdapter,
    start: IcgAdapter,
    batch: Batch,
    covers: Catalogue,
    scale: RunningScale,
    settings: AdapterSettings,
) -> tuple[Tensor, dict[str, float]]:
    """Loss and its parts as numbers. ``start`` is the frozen adapter that training began with, ``covers`` the catalogue."""
    groups = len(batch.items)
    users = batch.users_BV.to(studio.compute.device)
    reading = studio.read(batch.items, adapter)
    states = studio.states(adapter, reading)
    told = adapter(states.repeat_interleave(USERS_PER_ITEM, dim=0), users)
    noise = studio.denoiser.noise(batch.seeds).repeat_interleave(USERS_PER_ITEM, dim=0)
    images = studio.draw(told, noise, settings.reward_gradient_steps)
    titles = studio.judges.titles(batch.items.titles).repeat_interleave(USERS_PER_ITEM, dim=0)
    context = RewardContext(
        models=studio.judges, title_vectors=titles, user_vectors=of_typical_length(users), reward_cap=settings.reward_cap
    )
    parts: dict[str, float] = {}
    loss = torch.zeros((), device=users.device)
    for name, weight in reward_weights(settings).items():
        values = REWARDS[name].function(images, context)
        parts[name] = float(values.detach().mean())
        loss = loss - weight * scale.normalise(name, values).mean()
    looks = context.image_vectors(images).view(groups, USERS_PER_ITEM, -1)
    kept = {
        "dispersion": (settings.dispersion_weight, dispersion_loss(looks, users.view(groups, USERS_PER_ITEM, -1))),
        "anchor": (settings.anchor_weight, _anchor_loss(adapter(states, None), _plain(studio, start, reading))),
        "denoising": (settings.denoising_weight, denoising_loss(studio, adapter, states, batch, covers)),
    }
    for name, (weight, value) in kept.items():
        parts[name] = float(value.detach())
        loss = loss + weight * value
    return loss, parts


def reward_weights(settings: AdapterSettings) -> dict[str, float]:
    """Rewards in use and their weights."""
    weights = {
        "preference": settings.preference_weight,
        "relevance": settings.relevance_weight,
        "aesthetic": settings.aesthetic_weight,
    }
    return {name: weight for name, weight in weights.items() if weight}


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
    return functional.mse_loss(now.sequence, before.sequence) + functional.mse_loss(now.pooled, before.pooled)


@torch.no_grad()
def _plain(studio: Studio, adapter: IcgAdapter, reading: object) -> Conditioning:
    found: Conditioning = adapter(studio.states(adapter, reading), None)  # type: ignore[arg-type]
    return found.detach()


def as_row(parts: dict[str, float]) -> dict[str, float]:
    """Rounded for a card."""
    return {name: round(value, 5) for name, value in parts.items()}


Rows = NDArray[np.int64]
