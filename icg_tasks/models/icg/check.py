"""How good an adapter's covers are on items set aside, and the canaries that no training touches.

Fixed items, segments and noise, so two adapters are compared pair by pair. Knows models; nothing of training.
Legend: G items, S segments, E encoder width, V user vector, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.audience import Audience
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.image_statistics import IMAGE_STATISTICS
from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.table import REWARDS
from icg_tasks.models.training.processes import Processes

PREFERENCE: Final = "preference"
RELEVANCE: Final = "relevance"
AESTHETIC: Final = "aesthetic"
CHECKED_ALWAYS: Final = (PREFERENCE, RELEVANCE, AESTHETIC)

_ITEMS, _SEGMENTS = 12, 6
_SAME_TITLE = 0.8
"""Cosine of two titles beyond which one is no distractor for the other."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Check:
    """Scores of one adapter; ``own_P`` and ``swapped_P`` are preference z-scores of the same (item, segment) pairs."""

    own_P: Doubles
    swapped_P: Doubles
    plain_P: Doubles  # the unpersonalised cover as the same segments see it
    nobody: float  # the unpersonalised cover by the base term
    figures: dict[str, float]
    canaries: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Rounded numbers for a card."""
        rows = {
            "own": float(self.own_P.mean()),
            "swapped": float(self.swapped_P.mean()),
            "plain": float(self.plain_P.mean()),
            "nobody": self.nobody,
        }
        return {name: round(value, 5) for name, value in (rows | self.figures | self.canaries).items()}

    def agreed(self, processes: Processes) -> "Check":
        """The main process's check in all of them: decisions must not hang on how each one rounds."""
        body = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        found = processes.from_main(body)
        pairs = {name: np.array(found[name], dtype=np.float64) for name in ("own_P", "swapped_P", "plain_P")}
        return Check(**(found | pairs))


@torch.no_grad()
def check_adapter(
    studio: Studio,
    adapter: IcgAdapter,
    items: Catalogue,
    audience: Audience,
    seed: int,
    processes: Processes | None = None,
    rewards: Sequence[str] = (),
) -> Check:
    """Draw every (item, segment) pair and the unpersonalised cover of every item, and score them.

    ``rewards`` are named in figures too, beside preference, relevance and aesthetic. Several processes share the drawing and
    agree on the scores.
    """
    together = processes or Processes()
    adapter.eval()
    chosen = items.part(list(range(min(_ITEMS, len(items)))))
    segments = torch.from_numpy(audience.segments_SV[:_SEGMENTS])
    users = torch.cat([torch.zeros_like(segments[:1]), segments]).to(studio.compute.device)
    states = studio.states(adapter, studio.read(chosen, adapter))
    seeds = np.random.default_rng([seed, 2**31]).integers(2**62, size=len(chosen)).tolist()
    images = []
    for row in together.dealt(len(chosen)):  # one item at a time: every batch has the same shape
        told = adapter(states[row].expand(len(users), -1, -1), users)
        noise = studio.denoiser.noise([seeds[row]]).expand(len(users), -1, -1, -1)
        images.append(studio.draw(told, noise).clamp(0.0, 1.0))
    whole = together.collected(torch.stack(images), len(chosen))
    return _scored(studio, chosen, whole, users, rewards).agreed(together)


def _scored(studio: Studio, items: Catalogue, images_GUCHW: Tensor, users_UV: Tensor, rewards: Sequence[str]) -> Check:
    """Scores of images [G, 1 + S, 3, H, W]; user 0 is nobody."""
    judges, (groups, count) = studio.judges, images_GUCHW.shape[:2]
    titles_GE = judges.titles(items.titles)
    flat = images_GUCHW.flatten(0, 1)
    context = RewardContext(
        models=judges,
        title_vectors=titles_GE.repeat_interleave(count, dim=0),
        user_vectors=users_UV.repeat(groups, 1),
        titles=[title for title in items.titles for _ in range(count)],
    )
    looks_GUE = context.image_vectors(flat).view(groups, count, -1)
    score_GUU = _cross_scores(studio, looks_GUE, titles_GE, users_UV)  # [item, image of, as seen by]
    own_GS = torch.diagonal(score_GUU[:, 1:, 1:], dim1=1, dim2=2)
    others = score_GUU[:, 1:, 1:].sum(dim=1) - own_GS
    swapped_GS = others / max(1, count - 2) if count > 2 else own_GS
    relevance_GU = (looks_GUE * titles_GE[:, None]).sum(-1)
    figures = {
        "relevance_personal": float(relevance_GU[:, 1:].mean()),
        "relevance_plain": float(relevance_GU[:, 0].mean()),
    }
    asked = [AESTHETIC] if judges.aesthetic is not None else []
    for name in [*asked, *(name for name in rewards if name not in CHECKED_ALWAYS)]:
        value_GU = REWARDS[name].function(flat, context).view(groups, count)
        figures |= {f"{name}_personal": float(value_GU[:, 1:].mean()), f"{name}_plain": float(value_GU[:, 0].mean())}
    return Check(
        own_P=own_GS.flatten().double().cpu().numpy(),
        swapped_P=swapped_GS.flatten().double().cpu().numpy(),
        plain_P=score_GUU[:, 0, 1:].flatten().double().cpu().numpy(),
        nobody=float(score_GUU[:, 0, 0].mean()),
        figures=figures,
        canaries=_canaries(images_GUCHW, looks_GUE, titles_GE),
    )


def _cross_scores(studio: Studio, looks_GUE: Tensor, titles_GE: Tensor, users_UV: Tensor) -> Tensor:
    """Preference z-score of every image of an item as seen by every user [G, U, U]."""
    model = studio.judges.taste
    groups, count, width = looks_GUE.shape
    images = looks_GUE[:, :, None].expand(-1, -1, count, -1).reshape(-1, width)
    titles = titles_GE[:, None, None].expand(-1, count, count, -1).reshape(-1, width)
    users = users_UV[None, None].expand(groups, count, -1, -1).reshape(-1, users_UV.shape[1])
    scores = model.score(users, images, titles)
    return ((scores - model.score_mean) / model.score_deviation).view(groups, count, count)


def _canaries(images_GUCHW: Tensor, looks_GUE: Tensor, titles_GE: Tensor) -> dict[str, float]:
    """Plain image statistics, diversity, and whether a personalised cover is still found by its own title."""
    flat = images_GUCHW.flatten(0, 1)
    similar_GG = titles_GE @ titles_GE.T
    distractor_GG = similar_GG < _SAME_TITLE
    found_GUG = looks_GUE @ titles_GE.T
    own_GU = torch.diagonal(found_GUG, dim1=0, dim2=2).T
    best_other = found_GUG.masked_fill(~distractor_GG[:, None, :], -2.0).amax(dim=2)
    return {
        **{name: float(statistic(flat).mean()) for name, statistic in IMAGE_STATISTICS.items()},
        "diversity_users": _mean_distance(looks_GUE[:, 1:]),
        "diversity_items": _mean_distance(looks_GUE[:, 1:].transpose(0, 1)),
        "title_found": float((own_GU[:, 1:] > best_other[:, 1:]).float().mean()),
        "title_found_plain": float((own_GU[:, 0] > best_other[:, 0]).float().mean()),
    }


def _mean_distance(vectors_GNE: Tensor) -> float:
    """Mean distance of the vectors of a group, over groups; 0 for groups of one."""
    count = vectors_GNE.shape[1]
    if count < 2:
        return 0.0
    return float(torch.cdist(vectors_GNE, vectors_GNE).sum(dim=(1, 2)).mean() / (count * (count - 1)))
