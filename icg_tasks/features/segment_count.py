"""How many segments there are: the most that come out alike when they are looked for twice, among different users.

Prediction strength (Tibshirani and Walther 2005): users are halved; each half finds its own centres; of the pairs of users whom
one half's centres put together, which share do the other half's centres put together too? Averaged over users rather than taken
at the worst group, and told above what chance would give, so that many counts compare. Pure numpy.
Legend: N users, D dimensions of the space, A groups of one half, B groups of the other.
"""

from collections.abc import Callable, Sequence

import numpy as np

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.features.clustering import Floats, Ints, assign

Finder = Callable[[Floats, Floats, int], Floats]
"""Points [N, D], weights [N] and a count to centres [count, D]."""
MAX_COUNT = 10_000


def parsed_counts(text: str) -> list[int]:
    """Candidates of the setting features.segment_counts, ascending; raises SettingsError.

    >>> parsed_counts("12, 6")
    [6, 12]
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() and 0 < int(word) <= MAX_COUNT for word in words):
        raise SettingsError(f"features.segment_counts={text!r}: expected counts such as 6,8,12, from 1 to {MAX_COUNT}")
    return sorted({int(word) for word in words})


def strengths(points_ND: Floats, weight_N: Floats, counts: Sequence[int], find: Finder, seed: int) -> dict[int, float]:
    """The agreement of both halves for each count: 1 the same groups, 0 what chance would give."""
    half_N = np.random.default_rng(seed).permutation(len(points_ND)) % 2 == 0
    found = {}
    for count in counts:
        centres = [find(points_ND[mine_N], weight_N[mine_N], count) for mine_N in (half_N, ~half_N)]
        agreed = []
        for mine_N, own_AD, other_BD in ((half_N, *centres), (~half_N, *centres[::-1])):
            points = points_ND[mine_N]
            agreed.append(together(assign(points, own_AD), assign(points, other_BD)))
        found[count] = sum(agreed) / 2
    return found


def together(own_N: Ints, other_N: Ints) -> float:
    """Of the pairs within one grouping, the share that is together in the other one too, above chance.

    >>> together(np.array([0, 0, 1, 1]), np.array([5, 5, 3, 3]))
    1.0
    >>> round(together(np.array([0, 0, 1, 1]), np.array([5, 3, 5, 3])), 6)
    -0.5
    """
    total = len(own_N)
    table_AB = np.zeros((int(own_N.max(initial=0)) + 1, int(other_N.max(initial=0)) + 1))
    np.add.at(table_AB, (own_N, other_N), 1)
    pairs = float((table_AB.sum(axis=1) * (table_AB.sum(axis=1) - 1)).sum())
    both = float((table_AB * (table_AB - 1)).sum())
    sizes_B = table_AB.sum(axis=0)
    chance = float((sizes_B * (sizes_B - 1)).sum()) / max(total * (total - 1), 1)
    return (both / pairs - chance) / (1 - chance) if pairs and chance < 1 else 0.0


def chosen_count(found: dict[int, float], least: float, former: int | None, slack: float) -> int:
    """The most groups whose agreement is at least ``least``, or those that agree best; yesterday's count while nearly as good.

    >>> chosen_count({4: 0.9, 8: 0.7, 16: 0.3}, 0.6, None, 0.05), chosen_count({4: 0.9, 8: 0.58, 16: 0.3}, 0.6, 8, 0.05)
    (8, 8)
    """
    if former in found and found[former] >= least - slack:
        return former
    enough = [count for count, strength in found.items() if strength >= least]
    return max(enough) if enough else max(found, key=lambda count: (found[count], -count))
