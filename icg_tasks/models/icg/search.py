"""Looks found by drawing: covers for many tastes, and for each user the taste whose covers they would like best.

Gradients of rewards climb to the nearest look, which need not be a good one. So before the rewards, the adapter draws a few
items for many user vectors (``proposals``); every user's rewards are taken on all of these covers, and the adapter learns to
tell the denoiser for that user what it told for the best (``Imitation``): hindsight relabelling (Andrychowicz et al. 2017,
section 3) with the best of n as the goal. Rewards need not be differentiable. Few finalists are drawn again on other items, so
that luck on the first ones does not win.

Knows models; no store. Legend: P tastes, I items, U users, B images, N items of the lessons, K meta tokens,
D language width, E encoder width, V = 2E user vector.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from icg_tasks.backbones.denoisers.conditioning import spread, squared_differences
from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.audience import Audience
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.objective import of_typical_length
from icg_tasks.models.icg.proposals import WAYS, propose, spread_out
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.rewards.chosen import reward_weights
from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.table import REWARDS
from icg_tasks.models.training.processes import Processes

_PREFERENCE = "preference"
_FIRST_ITEMS, _MORE_ITEMS = 2, 6
_USERS_SHARE = 2 / 3
_FINALIST_SHARE = 0.25
_CHUNK = 16
_ITEMS, _USERS = 128, 2_048
_RELEVANCE_LOSS = 0.02
"""Cosine of cover and title that a taste may cost on the mean of its items."""
_STREAM = 2**33
_FLOOR = 0.3


@dataclass(frozen=True, kw_only=True)
class Found:
    """Covers that were drawn for P tastes on I items, and what rewards that ask for no user say of them."""

    tastes_PV: Tensor
    looks_PIE: Tensor
    titles_IE: Tensor
    merit_PI: Tensor  # weighted, in deviations
    relevant_P: Tensor  # whether covers say what the item is nearly as well as those for nobody special
    preference: PreferenceModel
    preference_weight: float

    @torch.no_grad()
    def rewards(self, users_UV: Tensor) -> Tensor:
        """Mean reward [U, P] of each taste's covers for each user, in weighted deviations; -inf where they lost relevance."""
        tastes, items, width = self.looks_PIE.shape
        liked = self.merit_PI.mean(dim=1).masked_fill(~self.relevant_P, -math.inf).expand(len(users_UV), -1)
        if not self.preference_weight:
            return liked
        covers = self.looks_PIE.reshape(-1, width)
        titles = self.titles_IE.expand(tastes, -1, -1).reshape(-1, width)
        scores_UX = self.preference.scores(of_typical_length(users_UV), covers, titles)
        scores_UP = scores_UX.view(-1, tastes, items).mean(dim=2) / self.preference.score_deviation
        return liked + self.preference_weight * scores_UP

    def best(self, users_UV: Tensor) -> Tensor:
        """The taste [U, V] whose covers each user likes best; their own where none is relevant, and for nobody special."""
        reward_U, row_U = self.rewards(users_UV).max(dim=1)
        found_U = (users_UV != 0).any(dim=1) & reward_U.isfinite()
        return torch.where(found_U[:, None], self.tastes_PV[row_U], users_UV)

    def part(self, rows_P: Tensor) -> "Found":
        """Some of the tastes."""
        return replace(
            self,
            tastes_PV=self.tastes_PV[rows_P],
            looks_PIE=self.looks_PIE[rows_P],
            merit_PI=self.merit_PI[rows_P],
            relevant_P=self.relevant_P[rows_P],
        )

    def beside(self, more: "Found") -> "Found":
        """The same tastes on more items."""
        return replace(
            self,
            looks_PIE=torch.cat([self.looks_PIE, more.looks_PIE], dim=1),
            titles_IE=torch.cat([self.titles_IE, more.titles_IE]),
            merit_PI=torch.cat([self.merit_PI, more.merit_PI], dim=1),
            relevant_P=self.relevant_P & more.relevant_P,
        )


class LookSearch:
    """Draws with one adapter, for tastes of one audience; everything random comes from ``adapter.seed``."""

    def __init__(
        self, studio: Studio, adapter: IcgAdapter, audience: Audience, settings: AdapterSettings, processes: Processes
    ) -> None:
        self._studio, self._adapter, self._audience = studio, adapter, audience
        self._settings, self._processes = settings, processes
        self._weights = reward_weights(settings)

    @torch.no_grad()
    def find(self, items: Catalogue, between: Callable[[], None]) -> Found:
        """Draw ``adapter.search_tastes`` tastes, those of segments first, then the best of them on more items.

        Two thirds are what users wish, one third single covers. ``between`` is called between batches and may raise to stop.
        """
        rng = np.random.default_rng([self._settings.seed, _STREAM])
        tastes_asked = self._settings.search_tastes
        asking = max(1, round(_USERS_SHARE * tastes_asked / WAYS))
        segments = self._audience.segments_SV[:asking]
        drawn = self._audience.draw(asking - len(segments), 0.0, rng)
        users = torch.from_numpy(np.concatenate([segments, drawn])).to(self._studio.compute.device)
        own = propose(self._studio.judges.taste, items, users)
        tastes = torch.cat([own, spread_out(items, max(0, tastes_asked - len(own))).to(own.device)])
        rows = rng.choice(len(items), size=min(len(items), _FIRST_ITEMS + _MORE_ITEMS), replace=False).tolist()
        seeds = rng.integers(2**62, size=len(rows)).tolist()
        first = self._drawn(tastes, items.part(rows[:_FIRST_ITEMS]), seeds[:_FIRST_ITEMS], between)
        chosen = _finalists(first, len(segments), max(1, round(_FINALIST_SHARE * len(tastes))))
        if len(rows) <= _FIRST_ITEMS:
            return first.part(chosen)
        more = self._drawn(tastes[chosen], items.part(rows[_FIRST_ITEMS:]), seeds[_FIRST_ITEMS:], between)
        return first.part(chosen).beside(more)

    def lessons(self, found: Found, items: Catalogue) -> "Imitation":
        """For up to 128 of the items, and 2,048 users as the audience draws them."""
        rng = np.random.default_rng([self._settings.seed, _STREAM + 1])
        users = self._audience.draw(_USERS, self._settings.user_dropout, rng)
        rows = rng.choice(len(items), size=min(len(items), _ITEMS), replace=False).tolist()
        return Imitation(self._studio, self._adapter, items.part(rows), torch.from_numpy(users), found)

    def _drawn(self, tastes_PV: Tensor, items: Catalogue, seeds: list[int], between: Callable[[], None]) -> Found:
        """One cover of each item for each taste, and for nobody special; the covers of an item share its noise."""
        judges, count = self._studio.judges, len(tastes_PV) + 1
        titles_IE = judges.titles(items.titles)
        states = self._studio.states(self._adapter, self._studio.read(items, self._adapter))
        chunks = -(-count // _CHUNK)
        nobody = torch.zeros_like(tastes_PV[:1])
        padded = torch.cat([nobody, tastes_PV, nobody.expand(chunks * _CHUNK - count, -1)])
        seen = []
        for number in self._processes.dealt(chunks * len(items)):
            between()
            item, chunk = divmod(number, chunks)
            users = padded[chunk * _CHUNK : (chunk + 1) * _CHUNK]
            noise = self._studio.denoiser.noise([seeds[item]]).expand(_CHUNK, -1, -1, -1)
            images = self._studio.draw(self._adapter(states[item].expand(_CHUNK, -1, -1), users), noise).clamp(0.0, 1.0)
            seen.append(self._seen(images, users, titles_IE[item].expand(_CHUNK, -1), items.titles[item]))
        whole = self._processes.collected(torch.stack(seen), chunks * len(items))
        values_IPX = whole.view(len(items), chunks * _CHUNK, -1)[:, :count]
        width = titles_IE.shape[1]
        relevance_P = (values_IPX[..., :width] * titles_IE[:, None]).sum(dim=-1).mean(dim=0)
        return Found(
            tastes_PV=tastes_PV,
            looks_PIE=values_IPX[:, 1:, :width].transpose(0, 1),
            titles_IE=titles_IE,
            merit_PI=self._merit(values_IPX[:, 1:, width:]).T,
            relevant_P=relevance_P[1:] >= relevance_P[0] - _RELEVANCE_LOSS,
            preference=judges.taste,
            preference_weight=self._weights.get(_PREFERENCE, 0.0),
        )

    def _seen(self, images_BCHW: Tensor, users_BV: Tensor, titles_BE: Tensor, title: str) -> Tensor:
        """Image vectors, then the scores of all rewards that ask for no user [B, E + rewards]."""
        context = RewardContext(
            models=self._studio.judges,
            title_vectors=titles_BE,
            user_vectors=users_BV,
            reward_cap=self._settings.reward_cap,
            titles=[title] * len(images_BCHW),
        )
        scores = [REWARDS[name].function(images_BCHW, context)[:, None] for name in self._names]
        return torch.cat([context.image_vectors(images_BCHW), *scores], dim=1)

    def _merit(self, scores_IPR: Tensor) -> Tensor:
        """Weighted sum [I, P] of rewards, each in deviations over all covers but never less than its floor's."""
        merit = scores_IPR.new_zeros(scores_IPR.shape[:2])
        for column, name in enumerate(self._names):
            values = scores_IPR[..., column]
            merit = merit + self._weights[name] * values / spread(values).clamp(min=REWARDS[name].floor)
        return merit

    @property
    def _names(self) -> list[str]:
        return [name for name in self._weights if name != _PREFERENCE]


def _finalists(found: Found, num_segments: int, count: int) -> Tensor:
    """Rows [<= count] of tastes that somebody likes best: segments' first to third choices, then everyone's first, second, …"""
    order_UP = found.rewards(found.tastes_PV).argsort(dim=1, descending=True)
    queue = [*order_UP[:num_segments, :3].T.flatten().tolist(), *order_UP.T.flatten().tolist()]
    return torch.tensor(list(dict.fromkeys(queue))[:count], device=order_UP.device)


class Imitation:
    """The lessons: what ``start`` told the denoiser, for each user, on behalf of the taste found for them.

    Meta tokens do not learn here, so the language model reads each item once.
    """

    def __init__(self, studio: Studio, start: IcgAdapter, items: Catalogue, users_UV: Tensor, found: Found) -> None:
        self._start = start
        self._users_UV = users_UV.to(studio.compute.device)
        self._wanted_UV = found.best(self._users_UV)
        parts = [items.part(list(range(len(items)))[at : at + _CHUNK]) for at in range(0, len(items), _CHUNK)]
        with torch.no_grad():
            self._states_NKD = torch.cat([studio.states(start, studio.read(part, start)) for part in parts])
            told = start(self._states_NKD, self._wanted_UV[torch.arange(len(items)) % len(users_UV)])
        self._spread = spread(told.sequence) + _FLOOR, spread(told.pooled) + _FLOOR

    def loss(
        self, adapter: IcgAdapter, rng: np.random.Generator, rows: int, processes: Processes
    ) -> tuple[Tensor, dict[str, float]]:
        """Mean squared difference over ``rows`` pairs of item and user of each process, over the spread of what is wanted."""
        device, own = self._users_UV.device, processes.own(rows * processes.count)
        items = torch.from_numpy(rng.integers(len(self._states_NKD), size=rows * processes.count)[own]).to(device)
        users = torch.from_numpy(rng.integers(len(self._users_UV), size=rows * processes.count)[own]).to(device)
        states = self._states_NKD[items]
        with torch.no_grad():
            wanted = self._start(states, self._wanted_UV[users])
        sequence, pooled = squared_differences(adapter(states, self._users_UV[users]), wanted)
        loss = sequence / self._spread[0].square() + pooled / self._spread[1].square()
        return loss, {"imitation": float(loss.detach())}
