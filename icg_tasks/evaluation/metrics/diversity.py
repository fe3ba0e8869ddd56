"""How much covers differ: of one item across users, and of one user across items, as mean distances of feature vectors.

Knows arrays. Legend: I items, U users or segments, D features, S bootstrap samples.
"""

import numpy as np

from icg_tasks.evaluation.metrics.inputs import Doubles, Features, MetricInputError
from icg_tasks.evaluation.metrics.resampling import pair_mean, pair_means
from icg_tasks.evaluation.table import Resampling, Row, interval_row


def diversity_across_users(features_IUD: Features) -> Doubles:
    """Mean distance of two users' covers of an item, one value per item [I]; 0 = all see the same cover.

    >>> diversity_across_users(np.array([[[0.0, 0.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])).tolist()
    [5.0, 0.0]
    """
    found_IUD = _checked(features_IUD, axis=1, who="users")
    return np.array([pair_mean(_distances(found_UD)) for found_UD in found_IUD])


def diversity_across_items(features_IUD: Features) -> float:
    """Mean distance of two items' covers of one user, over users; 0 = every item gets the same cover."""
    return pair_mean(_between_items(features_IUD))


def diversity_across_items_row(features_IUD: Features, resampling: Resampling) -> Row:
    """The same with an interval from resampling items (``resampling`` over I)."""
    distance_II = _between_items(features_IUD)
    return interval_row(pair_mean(distance_II), pair_means(distance_II, resampling.weight_SP), len(distance_II))


def _between_items(features_IUD: Features) -> Doubles:
    found_IUD = _checked(features_IUD, axis=0, who="items")
    return np.asarray(np.mean([_distances(found_IUD[:, user]) for user in range(found_IUD.shape[1])], axis=0))


def _distances(rows_ND: Doubles) -> Doubles:
    return np.asarray(np.linalg.norm(rows_ND[:, None] - rows_ND[None], axis=-1))


def _checked(features_IUD: Features, axis: int, who: str) -> Doubles:
    found = np.asarray(features_IUD, dtype=np.float64)
    if found.ndim != 3 or found.shape[axis] < 2 or not found.size:
        raise MetricInputError(f"features of shape {found.shape}; expected [items, users, features] with at least two {who}")
    if not np.isfinite(found).all():
        raise MetricInputError(f"{int((~np.isfinite(found)).any(axis=-1).sum())} covers have features that are not finite")
    return found
