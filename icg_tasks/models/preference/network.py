"""The preference network: logit = place + base(image, title) + user activity + <W u, A (cover - mean)>.

The term of taste is linear in the user vector on purpose: the mean logit of a segment's users is then the logit of its
centroid, and the zero vector ("nobody special") leaves the base term alone. It is linear in the cover vector too, which has
unit length in both halves: a generator that climbs this score finds no far corner where it explodes.

Attenuation: single user vectors are noisy, so a regression on them learns slopes that are too small, smallest in directions of
weak taste. Centroids average that noise away, so their scores are understated in size but not turned: on the embedded world,
training on centroids of users instead ranked looks no better (see DECISIONS).

Knows tensors; nothing of data sets, files or gates. Legend: B rows, N covers, E encoder width, V = 2E width of user and cover
vectors, R rank, S slots (surface x position; slot 0 = a place never seen in training).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from icg_tasks.contracts.errors import DataCorrupt

_LIMITS = {"width": 8_192, "rank": 4_096, "num_slots": 1_000_000}


@dataclass(frozen=True, kw_only=True)
class PreferenceConfig:
    """Shape of the network and what it may look at (baselines are the same network with less to see)."""

    width: int
    rank: int
    num_slots: int
    uses_image: bool = True
    uses_base: bool = True

    def __post_init__(self) -> None:
        for name, most in _LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise DataCorrupt(f"preference config: {name} is {value!r}; expected a whole number from 1 to {most}")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class PreferenceNetwork(nn.Module):
    """Weights and forward pass. ``start`` gives a fresh network its means and principal directions."""

    cover_mean: Tensor
    seen: Tensor

    def __init__(self, config: PreferenceConfig) -> None:
        super().__init__()
        self.config = config
        both = 2 * config.width
        rank = min(config.rank, both)
        self.bias = nn.Parameter(torch.zeros(()))
        self.slot_logits = nn.Parameter(torch.zeros(config.num_slots))
        self.activity = nn.Parameter(torch.zeros(both))
        self.base_weight = nn.Parameter(torch.zeros(both))
        self.user_map = nn.Parameter(torch.zeros(rank, both))
        self.cover_map = nn.Parameter(torch.zeros(rank, both))
        self.register_buffer("cover_mean", torch.zeros(both))
        self.register_buffer("seen", torch.ones(both))
        if not config.uses_image:
            self.seen[: config.width] = 0.0

    @torch.no_grad()
    def start(self, covers_NV: Tensor, slots_S: NDArray[np.float64], bias: float, strength: float = 1.0) -> None:
        """Begin from content similarity: both maps are the covers' principal directions; and from known places.

        ``covers_NV`` are the shown covers, ``slots_S`` the log-odds of each place beyond ``bias``; ``strength`` is the logit
        per unit of (user, cover) similarity.
        """
        self.cover_mean.copy_(covers_NV.mean(0))
        centred_NV = (covers_NV - self.cover_mean) * self.seen
        _, directions_VV = torch.linalg.eigh((centred_NV.T @ centred_NV).double())
        basis_RV = directions_VV.flip(1)[:, : len(self.user_map)].T
        signs_R1 = torch.sign(basis_RV.gather(1, basis_RV.abs().argmax(1, keepdim=True)))
        start_RV = (basis_RV * signs_R1 * strength**0.5).float()
        self.cover_map.copy_(start_RV)
        self.user_map.copy_(start_RV)
        self.slot_logits.copy_(torch.from_numpy(slots_S))
        self.bias.fill_(bias)

    def base(self, covers_BV: Tensor) -> Tensor:
        """What everybody thinks of these covers [B], in logits, bias included."""
        if not self.config.uses_base:
            return self.bias.expand(len(covers_BV))
        return self.bias + self._centred(covers_BV) @ self.base_weight

    def taste(self, users_BV: Tensor, covers_BV: Tensor) -> Tensor:
        """What these users add [B]: linear in the user vector, zero for the zero vector."""
        wishes_BR = (users_BV * self.seen) @ self.user_map.T
        return (wishes_BR * (self._centred(covers_BV) @ self.cover_map.T)).sum(-1)

    def served(self, users_BV: Tensor, covers_BV: Tensor) -> Tensor:
        """The score of a cover for a user [B]: no place, no activity."""
        return self.base(covers_BV) + self.taste(users_BV, covers_BV)

    def forward(self, users_BV: Tensor, covers_BV: Tensor, slots_B: Tensor) -> Tensor:
        """Logit of a click as it happened [B]: with the place it was shown in and the user's own activity."""
        activity_B = (users_BV * self.seen) @ self.activity
        return self.slot_logits[slots_B] + activity_B + self.served(users_BV, covers_BV)

    @torch.no_grad()
    def centre_slots(self, slots_B: Tensor) -> None:
        """Move the mean place of these rows into the bias: a place of zero is then the average place; slot 0 is that."""
        mean = self.slot_logits[slots_B].mean()
        self.slot_logits.sub_(mean)
        self.slot_logits[0] = 0.0
        self.bias.add_(mean)

    def _centred(self, covers_BV: Tensor) -> Tensor:
        return (covers_BV - self.cover_mean) * self.seen
