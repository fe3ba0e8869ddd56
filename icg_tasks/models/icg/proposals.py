"""Tastes worth drawing for: what the preference model knows of a user, said again as user vectors.

A user vector is noisy, and an adapter may not know what to make of it. The preference model has learned which covers its owner
would click; what such clicks would add up to is a user vector too, one that speaks of looks alone. Knows vectors and a
preference model; draws nothing. Legend: U users, N covers of the catalogue, E encoder width, V = 2E user vector.
"""

import torch
from torch import Tensor
from torch.nn import functional

from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.objective import of_typical_length
from icg_tasks.models.preference.model import PreferenceModel, item_halves

WAYS = 4
_FEW, _MANY = 0.04, 0.12
"""Shares of the catalogue that a user is taken to like."""


def propose(preference: PreferenceModel, covers: Catalogue, users_UV: Tensor) -> Tensor:
    """WAYS tastes of typical length for each user [WAYS x U, V]: own vectors first, then what they would click, three ways.

    ``wished``: the covariance of the covers' vectors times the slope of the score, which is what the residuals of a click model
    with that slope add up to. ``liked``: the mean of the covers with the best scores, less the mean of all.
    """
    vectors_NV = torch.from_numpy(covers.vectors_NV).to(users_UV.device)
    wishes = of_typical_length(users_UV)
    images_NE, titles_NE = item_halves(vectors_NV)
    with torch.no_grad():
        scores_UN = preference.scores(wishes, images_NE, titles_NE)
    tastes = [
        wishes,
        _wished(preference, images_NE, titles_NE, wishes),
        *(_liked(images_NE, scores_UN, max(1, round(share * len(covers)))) for share in (_MANY, _FEW)),
    ]
    return torch.cat([of_typical_length(taste) for taste in tastes])


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
