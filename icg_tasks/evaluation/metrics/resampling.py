"""Bootstrap beyond plain means: over groups of pairs that belong together, and of means over pairs of rows.

Knows numbers. Legend: S bootstrap samples, P pairs, N rows.
"""

from collections.abc import Sequence

import numpy as np

from icg_tasks.evaluation.metrics.inputs import Doubles
from icg_tasks.evaluation.table import Resampling, Row


def over_groups(group_P: Sequence[str], samples: int, seed: int) -> Resampling:
    """Resampling that draws whole groups, as large as they are: pairs of one item are no independent evidence.

    >>> drawn = over_groups(["a", "a", "b"], 50, 1).weight_SP
    >>> bool((drawn[:, 0] == drawn[:, 1]).all()), bool(np.allclose(drawn.sum(axis=1), 1))
    (True, True)
    """
    names = list(dict.fromkeys(group_P))
    place = {name: row for row, name in enumerate(names)}
    drawn_SG = Resampling.over(len(names), samples, seed).weight_SP
    weight_SP = drawn_SG[:, [place[name] for name in group_P]]
    return Resampling(weight_SP=weight_SP / weight_SP.sum(axis=1, keepdims=True))


def pair_mean(value_NN: Doubles) -> float:
    """Mean over all pairs of two different rows of a symmetric matrix."""
    return float(pair_means(value_NN, np.ones((1, len(value_NN))))[0])


def pair_means(value_NN: Doubles, weight_SN: Doubles) -> Doubles:
    """The same with weights [S]; a row drawn twice makes no pair with itself, which would pull every distance to 0."""
    own_N = np.diagonal(value_NN)
    whole_S = ((weight_SN @ value_NN) * weight_SN).sum(axis=1) - (weight_SN**2) @ own_N
    pairs_S = weight_SN.sum(axis=1) ** 2 - (weight_SN**2).sum(axis=1)
    return np.asarray(whole_S / np.maximum(pairs_S, 1e-12))


def spread_row(estimate: float, drawn_S: Doubles, count: int) -> Row:
    """Row of a statistic that resampling biases: the draws' spread around their own mean, laid on the estimate.

    Repeated rows raise every draw of a distance between distributions; percentiles of the draws alone could lie beyond the
    estimate itself.
    """
    low, high = estimate + np.percentile(drawn_S - drawn_S.mean(), [2.5, 97.5])
    return {"mean": round(estimate, 6), "low": round(float(low), 6), "high": round(float(high), 6), "n": count}
