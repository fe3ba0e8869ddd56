"""Fréchet distance between two sets of features, each taken for a Gaussian: FID's form on a given encoder's features.

It is *not* FID: that name stands for the published Inception network. The estimate is too high for few samples: compare only
sets of one size, and prefer the kernel distance (``kernel``) where images are fewer than ten for each feature.
Legend: N, M rows, I items, U users or segments, D features, S bootstrap samples.
"""

from dataclasses import dataclass

import numpy as np

from icg_tasks.evaluation.metrics.inputs import Doubles, Features, as_features, by_user, same_width
from icg_tasks.evaluation.metrics.resampling import spread_row
from icg_tasks.evaluation.table import Resampling, Row

_ENOUGH_PER_FEATURE = 10


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Mean [D] and covariance [D, D]."""

    mean_D: Doubles
    covariance_DD: Doubles

    @classmethod
    def of(cls, features_ND: Features, weight_N: Doubles | None = None) -> "Gaussian":
        """Of at least two rows, with weights that sum to 1 (None = all alike); unbiased covariance where they are alike."""
        found_ND = as_features(features_ND, "features of a Gaussian", least=2)
        weights = np.full(len(found_ND), 1 / len(found_ND)) if weight_N is None else weight_N
        mean_D = weights @ found_ND
        apart_ND = found_ND - mean_D
        scale = len(found_ND) / (len(found_ND) - 1)
        return cls(mean_D=mean_D, covariance_DD=scale * (apart_ND * weights[:, None]).T @ apart_ND)


def frechet_between(first: Gaussian, second: Gaussian) -> float:
    """|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), never below 0; 0 = the same Gaussian. Symmetric.

    The trace of the root is taken from the symmetric C1^(1/2) C2 C1^(1/2), which has the same eigenvalues and stays real.
    """
    values, vectors = np.linalg.eigh(first.covariance_DD)
    root_DD = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root_DD @ second.covariance_DD @ root_DD), 0, None)).sum()
    apart = ((first.mean_D - second.mean_D) ** 2).sum()
    trace = np.trace(first.covariance_DD) + np.trace(second.covariance_DD) - 2 * shared
    return float(max(apart + trace, 0.0))


def frechet_distance(first_ND: Features, second_MD: Features) -> float:
    """Fréchet distance of two sets of features, at least two rows each; raises MetricInputError."""
    first, second = as_features(first_ND, "first features", least=2), as_features(second_MD, "second features", least=2)
    same_width(first, second)
    return frechet_between(Gaussian.of(first), Gaussian.of(second))


def frechet_row(made_IUD: Features, real_ND: Features, resampling: Resampling) -> Row:
    """Distance of each user's I covers to real ones, mean over users; the interval is from resampling items (``resampling``).

    User by user, so that arms that show everyone the same cover are estimated from as many covers as the others. The real set
    is what it is.
    """
    sets_UID = by_user(made_IUD)
    real = Gaussian.of(real_ND)
    same_width(sets_UID[0], as_features(real_ND, "real covers", least=2))
    even_I = np.full(len(sets_UID[0]), 1 / len(sets_UID[0]))
    estimate = np.mean([_to_rows(real, made_ID, even_I) for made_ID in sets_UID])
    drawn_SU = [[_to_rows(real, made_ID, weight_I) for made_ID in sets_UID] for weight_I in resampling.weight_SP]
    return spread_row(float(estimate), np.mean(drawn_SU, axis=1), len(sets_UID[0]))


def _to_rows(real: Gaussian, made_ID: Doubles, weight_I: Doubles) -> float:
    """Distance of a Gaussian to that of weighted rows.

    Where rows are fewer than features their covariance is A'A with few rows A, and C A'A has the eigenvalues of A C A', which
    is a small matrix: hundreds of samples then take a second instead of a minute.
    """
    items, width = made_ID.shape
    if items >= width:
        return frechet_between(real, Gaussian.of(made_ID, weight_I))
    mean_D = weight_I @ made_ID
    root_ID = np.sqrt(items / (items - 1) * weight_I)[:, None] * (made_ID - mean_D)
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root_ID @ real.covariance_DD @ root_ID.T), 0, None)).sum()
    trace = np.trace(real.covariance_DD) + (root_ID**2).sum() - 2 * shared
    return float(max(((real.mean_D - mean_D) ** 2).sum() + trace, 0.0))


def small_sample_note(count: int, width: int) -> str | None:
    """What to say beside a Fréchet distance of so many images and features; None where they are plenty."""
    if count >= _ENOUGH_PER_FEATURE * width:
        return None
    return (
        f"The Fréchet distance is of {count} covers and {width} features: too high by an unknown amount, about the same for "
        "arms of as many covers; compare arms with each other only, or read the kernel distance."
    )
