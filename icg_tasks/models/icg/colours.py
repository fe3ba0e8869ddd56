"""How far one set of images is from another in colour. Pure numpy; knows no model.

Legend: B images, H W pixels, D random directions.
"""

import numpy as np
from numpy.typing import NDArray

_DIRECTIONS, _POINTS = 64, 512


def colour_distance(first_BHW3: NDArray[np.float32], second_BHW3: NDArray[np.float32], seed: int = 0) -> float:
    """Sliced Wasserstein-1 distance of the two sets' pixel colours (RGB in [0, 1]); 0 = the same colours, about 0.5 at most.

    Source: Rabin et al. 2011 (sliced Wasserstein barycentres).

    >>> black, white = np.zeros((1, 2, 2, 3), np.float32), np.ones((1, 2, 2, 3), np.float32)
    >>> colour_distance(black, black), colour_distance(black, white) > 0.3
    (0.0, True)
    """
    directions_D3 = np.random.default_rng(seed).normal(size=(_DIRECTIONS, 3))
    directions_D3 /= np.linalg.norm(directions_D3, axis=1, keepdims=True)
    levels = (np.arange(_POINTS) + 0.5) / _POINTS
    first, second = (
        np.quantile(images.reshape(-1, 3).astype(np.float64) @ directions_D3.T, levels, axis=0)
        for images in (first_BHW3, second_BHW3)
    )
    return float(np.abs(first - second).mean())
