"""For whom the warm adapter learns to draw: users and segments of simulated worlds, and the look each of them likes best.

"Likes best" is told by the preference model of that world, which learned from simulated clicks alone. Nothing to run here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.world import SUBJECTS, CoverAttributes, all_looks, draw_cover
from zoo.recipe.readership import Readership, centroids, simulate
from zoo.recipe.workshop import portions

SEEDS: Final = tuple(range(9_101, 9_109))
SEGMENTS: Final = (8, 12, 16, 24)
NOBODY: Final = 256
"""Number of the look of somebody who is nobody special."""
_NOBODY_SHARE: Final = 0.2
_LOOK_SEED: Final = 7_000_000

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class People:
    """A world, its segments of several sizes, and the taste of any user vector for 256 looks."""

    world: Readership
    centroids_CV: Floats
    taste: Taste


class Taste:
    """Scores of all 256 looks for user vectors: the preference model's personal term, averaged over drawn subjects."""

    def __init__(self, preference: PreferenceModel, looks_FE: Floats) -> None:
        network = preference.network
        cover_map = network.cover_map[:, : looks_FE.shape[1]].detach().numpy()
        self._looks_FR = (looks_FE - looks_FE.mean(axis=0)) @ cover_map.T
        self._user_map = network.user_map.detach().numpy()

    def best(self, users_NV: Floats) -> NDArray[np.int64]:
        """Number of the best look of each user."""
        return np.asarray(((users_NV @ self._user_map.T) @ self._looks_FR.T).argmax(axis=1))


def draw_looks(encoder: DualEncoder) -> Floats:
    """Mean image vector of each of the 256 looks over all subjects [256, E]."""
    looks = all_looks()
    total = torch.zeros(len(looks), encoder.embedding_width)
    for number, subject in enumerate(SUBJECTS):
        images = np.stack([draw_cover(CoverAttributes(subject=subject, look=look), _LOOK_SEED + 1_000 * (number + 1) + n)
                           for n, look in enumerate(looks)])  # fmt: skip
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            total += torch.cat([encoder.embed_images(chunk).cpu() for chunk in portions(pixels, 64)])
    return np.asarray((total / len(SUBJECTS)).numpy(), dtype=np.float32)


def gather_people(encoder: DualEncoder, looks_FE: Floats) -> list[People]:
    """The readerships of all seeds."""
    found = []
    for seed in SEEDS:
        world: Readership = simulate(seed, encoder, num_users=4_000, num_items=360)
        middles = np.concatenate([centroids(world.users_UV, count, seed + count) for count in SEGMENTS])
        found.append(People(world=world, centroids_CV=middles, taste=Taste(world.preference, looks_FE)))
    return found


def draw_users(people: list[People], count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """User vectors [count, V] of one random world and the number of each one's best look, 256 for nobody special."""
    world = people[int(rng.integers(len(people)))]
    middles, singles = world.centroids_CV, world.world.users_UV
    kind = rng.random(count)
    weights = rng.normal(size=(count, 3, 1)).astype(np.float32)
    mixed = (weights * middles[rng.integers(len(middles), size=(count, 3))]).sum(axis=1)
    users = np.where((kind < 0.4)[:, None], middles[rng.integers(len(middles), size=count)], mixed)
    users = np.where((kind > 0.7)[:, None], singles[rng.integers(len(singles), size=count)], users)
    looks = world.taste.best(users)
    nobody = rng.random(count) < _NOBODY_SHARE
    users[nobody], looks[nobody] = 0.0, NOBODY
    return torch.from_numpy(users.astype(np.float32)), torch.from_numpy(looks)
