"""Tastes worth drawing for: what the preference model knows of a user, said again as user vectors, and looks of all kinds.

A user vector is noisy, and an adapter may not know what to make of it. The preference model has learned which covers its owner
would click; what such clicks would add up to is a user vector too, one that speaks of looks alone. Yet what an adapter draws
for a taste need not be what the taste wished: so single covers, as unlike each other as there are, are asked for beside,
whoever may like what comes of them. Knows vectors and a preference model; draws nothing.
Legend: U users, N covers of the catalogue, E encoder width, V = 2E user vector.
"""

import torch
from torch import Tensor
from torch.nn import functional

from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.objective import of_typical_length
from icg_tasks.models.preference.model import PreferenceModel, item_halves

_SHARES = (0.12, 0.04)
"""Of the catalogue that a user is taken to like: what these covers have in common."""
_BEST = (3, 1)
"""Covers that speak for themselves: the mean of many looks is a look that no cover has."""
_RIDGE = 1.0
WAYS = 2 + len(_SHARES) + len(_BEST)


def propose(preference: PreferenceModel, covers: Catalogue, users_UV: Tensor) -> Tensor:
    """WAYS tastes of typical length for each user [WAYS x U, V]: own vectors first, then what they would click, five ways.

    ``wished``: the covariance of the covers' vectors times the slope of the score, which is what the residuals of a click model
    with that slope add up to. ``liked``: the mean of the covers with the best scores, less the mean of all.
    """
    vectors_NV = torch.from_numpy(covers.vectors_NV).to(users_UV.device)
    wishes = of_typical_length(users_UV)
    images_NE, titles_NE = item_halves(vectors_NV)
    with torch.no_grad():
        scores_UN = preference.scores(wishes, images_NE, titles_NE)
    counts = [max(1, round(share * len(covers))) for share in _SHARES] + [min(count, len(covers)) for count in _BEST]
    tastes = [
        wishes,
        _wished(preference, images_NE, titles_NE, wishes),
        *(_liked(images_NE, scores_UN, count) for count in counts),
    ]
    return torch.cat([of_typical_length(taste) for taste in tastes])


def spread_out(covers: Catalogue, count: int) -> Tensor:
    """Tastes of typical length [<= count, V] for single covers, each as unlike all before it as there is one.

    Farthest point first (Gonzalez 1985), from the most usual cover on. Likeness is of looks: what titles explain of the covers
    (ridge regression), their subjects, is taken out.
    """
    images_NE, titles_NE = item_halves(torch.from_numpy(covers.vectors_NV))
    told = torch.cat([titles_NE, torch.ones(len(covers), 1)], dim=1)
    explained = torch.linalg.solve(told.T @ told + _RIDGE * torch.eye(told.shape[1]), told.T @ images_NE)
    looks_NE = functional.normalize(images_NE - told @ explained, dim=-1)
    rows = [int((looks_NE @ looks_NE.mean(dim=0)).argmax())]
    nearest_N = looks_NE @ looks_NE[rows[0]]
    while len(rows) < min(count, len(covers)):
        rows.append(int(nearest_N.argmin()))
        nearest_N = torch.maximum(nearest_N, looks_NE @ looks_NE[rows[-1]])
    return of_typical_length(_of_looks(looks_NE[rows[:count]]))


def _wished(preference: PreferenceModel, images_NE: Tensor, titles_NE: Tensor, users_UV: Tensor) -> Tensor:
    with torch.enable_grad():
        at = images_NE.mean(dim=0).expand(len(users_UV), -1).clone().requires_grad_(True)
        score = preference.score(users_UV, at, titles_NE.mean(dim=0).expand(len(users_UV), -1)).sum()
        slope_UE = torch.autograd.grad(score, at)[0]
    return _of_looks(slope_UE @ torch.cov(images_NE.T))


def _liked(images_NE: Tensor, scores_UN: Tensor, count: int) -> Tensor:
    return _of_looks(images_NE[scores_UN.topk(count, dim=1).indices].mean(dim=1) - images_NE.mean(dim=0))


def _of_looks(images_UE: Tensor) -> Tensor:
    """Unit vectors [U, V] that wish nothing of titles."""
    return torch.cat([functional.normalize(images_UE, dim=-1), torch.zeros_like(images_UE)], dim=-1)
