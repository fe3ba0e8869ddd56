"""Kernel distance between two sets of features: unbiased squared MMD of a polynomial kernel, KID's form on a given encoder.

It is *not* KID: that name stands for the published Inception network, and for features as they come; here products are divided
by the mean squared length of all rows, so that unit vectors do not vanish beside the 1. Unbiased at any sample size, so it may
fall below 0 where the sets are alike (Bińkowski et al., arXiv 1801.01401).
Legend: N, M, P rows, D features, S bootstrap samples.
"""

import numpy as np

from icg_tasks.evaluation.metrics.inputs import Doubles, Features, MetricInputError, as_features, same_width
from icg_tasks.evaluation.metrics.resampling import pair_means
from icg_tasks.evaluation.table import Resampling, Row, interval_row

_MAX_ROWS = 20_000


def kernel_distance(first_ND: Features, second_MD: Features) -> float:
    """Mean kernel within the first set plus within the second, pairs of one row left out, minus twice that between them."""
    kernels = _kernels(first_ND, second_MD)
    return float(_distances(kernels, *(np.full((1, len(part)), 1 / len(part)) for part in kernels[:2]))[0])


def kernel_row(made_PD: Features, real_ND: Features, resampling: Resampling, seed: int) -> Row:
    """Distance of made covers to real ones, with the interval from resampling both sides (``resampling``: the made ones)."""
    kernels = _kernels(made_PD, real_ND)
    samples = len(resampling.weight_SP)
    real_SN = Resampling.over(len(kernels[1]), samples, seed).weight_SP
    return interval_row(kernel_distance(made_PD, real_ND), _distances(kernels, resampling.weight_SP, real_SN), len(kernels[0]))


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
