"""Figures of all of an arm's covers together: distances to the catalogue's, variety, and the number of distinct looks.

Intervals are from resampling items. Knows vectors; no image. Legend: I items, U segments, K candidates, E vector, N covers.
"""

from typing import Final

from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.looking import Looked
from icg_tasks.evaluation.metrics.diversity import diversity_across_items_row, diversity_across_users
from icg_tasks.evaluation.metrics.frechet import frechet_row
from icg_tasks.evaluation.metrics.inputs import Features
from icg_tasks.evaluation.metrics.kernel import kernel_row
from icg_tasks.evaluation.metrics.looks import distinct_looks_row
from icg_tasks.evaluation.table import Resampling, Row, interval_row

_MOST_SAMPLES: Final = 100
"""Bootstrap samples of the distances, which take the longest."""


def arm_rows(looked: Looked, real_NE: Features | None, samples: int, seed: int) -> list[Row]:
    """One row per arm and figure, distances only where there are real covers; nothing with fewer than two items.

    An interval is widened to hold its own estimate where the bootstrap of a count or distance lies beside it.
    """
    num_items = max((len(vectors) for vectors in looked.vectors_IUE.values()), default=0)
    if num_items < 2:
        return []
    resampling = Resampling.over(num_items, samples, seed)
    few = Resampling.over(num_items, min(samples, _MOST_SAMPLES), seed)
    rows = []
    for arm, made_IUE in looked.vectors_IUE.items():
        found = {
            names.DIVERSITY_USERS: _users_row(made_IUE, resampling),
            names.DIVERSITY_ITEMS: diversity_across_items_row(made_IUE, resampling),
        }
        if real_NE is not None:
            different = made_IUE[:, :1] if (made_IUE == made_IUE[:, :1]).all() else made_IUE
            found[names.FRECHET] = frechet_row(different, real_NE, few)
            found[names.KERNEL] = kernel_row(different, real_NE, few, seed)
        if arm in looked.candidates_IUKE:
            found[names.LOOKS] = distinct_looks_row(looked.candidates_IUKE[arm], resampling)
        rows += [{"arm": arm, "metric": metric, **_holding(row)} for metric, row in found.items()]
    return rows


def _users_row(made_IUE: Features, resampling: Resampling) -> Row:
    value_I = diversity_across_users(made_IUE)
    return interval_row(float(value_I.mean()), resampling.means(value_I), len(value_I))


def _holding(row: Row) -> Row:
    return row | {"low": min(row["low"], row["mean"]), "high": max(row["high"], row["mean"])}
