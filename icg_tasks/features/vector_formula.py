"""The one formula of a user vector, for Spark and for training: decayed sums, shrinkage, a global scale. Pure numpy.

vector(D) = scale * sum_d decay(D - d) * vector_sum(d) / (sum_d decay(D - d) * weight(d) + prior_weight), over the window's days
d <= D. Knows numbers; nothing of partitions or Spark. Legend: N users, U vector width.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]


def decay(days_ago: int, half_life_days: float) -> float:
    """Share of a day's sums that still counts.

    >>> decay(0, 7.0), decay(7, 7.0)
    (1.0, 0.5)
    """
    return float(0.5 ** (days_ago / half_life_days))


def shrunken(sums_NU: Floats, weights_N: Floats, prior_weight: float) -> Floats:
    """Decayed sums over decayed weight plus prior [N, U]: few events, short vector; no events, the zero vector.

    >>> shrunken(np.array([[3.0, 0.0]]), np.array([10.0]), 20.0)
    array([[0.1, 0. ]])
    """
    return np.asarray(sums_NU / (weights_N + prior_weight)[:, None])


def global_scale(vectors_NU: Floats) -> float:
    """The factor that makes the mean squared norm over users 1; 1.0 where all vectors are zero or there are none.

    >>> global_scale(np.array([[0.1, 0.0], [0.0, 0.0]])).__round__(4)
    14.1421
    """
    mean_square = float(np.square(vectors_NU, dtype=np.float64).sum(axis=1).mean()) if len(vectors_NU) else 0.0
    return 1.0 / mean_square**0.5 if mean_square > 0 else 1.0
