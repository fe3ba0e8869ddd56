"""What one training step draws: items, users, noise, times and target covers; from (seed, step) alone, for all processes.

Every process draws the whole batch and keeps its own items, so N processes together do what one does with N times the batch.
Knows catalogue and audience; no model but the one that chooses targets. Legend: G items of a step, R users per item, V = 2E.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.audience import Audience
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.targets import Targets
from icg_tasks.models.training.processes import Processes

USERS_PER_ITEM = 4


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One process's part of a step's draws; G x R images."""

    items: Catalogue
    users_BV: Tensor  # R rows for each item in turn
    seeds: list[int]  # one per item: users of an item share the noise, so that only the user makes a difference
    times_G: Tensor
    targets: list[int]  # catalogue rows whose covers the denoising loss is taken on, one per item
    target_users_GV: Tensor

    @property
    def users_per_item(self) -> int:
        """R."""
        return len(self.users_BV) // len(self.items)

    def part(self, own: slice, users_per_item: int | None = None) -> "Batch":
        """Some of the items, with all or the first few of their users."""
        users = self.users_BV.view(len(self.items), self.users_per_item, -1)[own, :users_per_item]
        return Batch(
            items=self.items.part(list(range(len(self.items)))[own]),
            users_BV=users.flatten(0, 1),
            seeds=self.seeds[own],
            times_G=self.times_G[own],
            targets=self.targets[own],
            target_users_GV=self.target_users_GV[own],
        )


def draw_batch(
    catalogue: Catalogue,
    audience: Audience,
    targets: Targets,
    settings: AdapterSettings,
    step: int,
    num_times: int,
    processes: Processes | None = None,
) -> Batch:
    """This process's part of a step's batch; the same for the same seed and step. ``adapter.batch_size`` is of one process."""
    together = processes or Processes()
    rng = np.random.default_rng([settings.seed, step])
    groups = max(1, settings.batch_size // USERS_PER_ITEM) * together.count
    rows = rng.choice(len(catalogue), size=groups, replace=len(catalogue) < groups)
    users = audience.draw(groups * USERS_PER_ITEM, settings.user_dropout, rng)
    target_users = audience.draw(groups, settings.user_dropout, rng)
    whole = Batch(
        items=catalogue.part(rows.tolist()),
        users_BV=torch.from_numpy(users),
        seeds=rng.integers(2**62, size=groups).tolist(),
        times_G=torch.from_numpy(rng.integers(num_times, size=groups)),
        targets=targets.choose(rows, target_users, rng),
        target_users_GV=torch.from_numpy(target_users),
    )
    return whole.part(together.own(groups)) if together.count > 1 else whole
