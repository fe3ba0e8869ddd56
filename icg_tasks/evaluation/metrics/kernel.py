"""Kernel distance between two sets of features: unbiased squared MMD of a polynomial kernel, KID's form on a given encoder.

It is *not* KID: that name stands for the published Inception network, and for features as they come; here products are divided
by the mean squared length of all rows, so that unit vectors do not vanish beside the 1. Unbiased at any sample size, so it may
fall below 0 where the sets are alike (Bińkowski et al., arXiv 1801.01401).
Legend: N, M rows, I items, U users or segments, D features, S bootstrap samples.
"""

import numpy as np

from icg_tasks.evaluation.metrics.inputs import Doubles, Features, MetricInputError, as_features, by_user, same_width
from icg_tasks.evaluation.metrics.resampling import pair_means
from icg_tasks.evaluation.table import Resampling, Row, interval_row

_MAX_ROWS = 20_000


def kernel_distance(first_ND: Features, second_MD: Features) -> float:
    """Mean kernel within the first set plus within the second, pairs of one row left out, minus twice that between them."""
    kernels = _kernels(first_ND, second_MD)
    return float(_distances(kernels, *(np.full((1, len(part)), 1 / len(part)) for part in kernels[:2]))[0])


def kernel_row(made_IUD: Features, real_ND: Features, resampling: Resampling, seed: int) -> Row:
    """Distance of each user's I covers to real ones, mean over users; the interval is from resampling items and real covers.

    User by user, since covers of one item are alike and pairs of them would count as likeness of the whole set.
    """
    sets_UID = by_user(made_IUD)
    item_SI = resampling.weight_SP
    real_SN = Resampling.over(len(real_ND), len(item_SI), seed).weight_SP
    estimate = float(np.mean([kernel_distance(made_ID, real_ND) for made_ID in sets_UID]))
    drawn_US = [_distances(_kernels(made_ID, real_ND), item_SI, real_SN) for made_ID in sets_UID]
    return interval_row(estimate, np.mean(drawn_US, axis=0), len(sets_UID[0]))


def _kernels(first_ND: Features, second_MD: Features) -> tuple[Doubles, Doubles, Doubles]:
    """(x . y / mean squared length + 1)^3 within the first, within the second, and between them."""
    first, second = as_features(first_ND, "first features", least=2), as_features(second_MD, "second features", least=2)
    same_width(first, second)
    if max(len(first), len(second)) > _MAX_ROWS:
        raise MetricInputError(f"{len(first)} and {len(second)} rows; at most {_MAX_ROWS}, draw a share of them")
    length = max(float(np.concatenate([(first**2).sum(axis=1), (second**2).sum(axis=1)]).mean()), 1e-12)
    return (first @ first.T / length + 1) ** 3, (second @ second.T / length + 1) ** 3, (first @ second.T / length + 1) ** 3


def _distances(kernels: tuple[Doubles, Doubles, Doubles], first_SN: Doubles, second_SM: Doubles) -> Doubles:
    within_first, within_second, between = kernels
    across_S = ((first_SN @ between) * second_SM).sum(axis=1)
    return np.asarray(pair_means(within_first, first_SN) + pair_means(within_second, second_SM) - 2 * across_S)
