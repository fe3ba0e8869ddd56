"""How many distinct looks the segments get: has personalisation collapsed into one?

The rule. Two segments' looks are told apart by a forced choice: given two covers of one item, one for each segment and drawn
from different noise, the direction in which the segments' covers differ on all *other* items says which is whose. Right in 75
of 100 cases (halfway between guessing and certain) = distinct looks. Segments are grouped by complete linkage: within a group
no two are distinct. The number of groups is the number of looks. It depends on no distance scale; an encoder that cannot see a
difference finds one look.
Legend: I items, U segments, K candidates (each of its own noise, the same for all segments), D features, S bootstrap samples,
Q ordered pairs of different candidates of an item.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from icg_tasks.evaluation.metrics.inputs import Doubles, Features, MetricInputError
from icg_tasks.evaluation.table import Resampling, Row, interval_row

TOLD_APART = 0.75


@dataclass(frozen=True, kw_only=True)
class Looks:
    """``group_U`` numbers the look of each segment from 1; ``told_apart_UU`` is how often a choice between two is right."""

    count: int
    group_U: list[int]
    told_apart_UU: Doubles


def distinct_looks(features_IUKD: Features) -> Looks:
    """Looks of U segments from their covers' features; raises MetricInputError for fewer than 2 items, segments, candidates."""
    features = _checked(features_IUKD)
    told_UU = _told_apart(features, np.full((1, len(features)), 1 / len(features)))[0]
    groups = _groups(told_UU)
    return Looks(count=max(groups), group_U=groups, told_apart_UU=told_UU)


def distinct_looks_row(features_IUKD: Features, resampling: Resampling) -> Row:
    """Number of looks with an interval from resampling items (``resampling`` over I)."""
    features = _checked(features_IUKD)
    drawn_S = np.array([max(_groups(told_UU)) for told_UU in _told_apart(features, resampling.weight_SP)], dtype=np.float64)
    return interval_row(distinct_looks(features).count, drawn_S, len(features))


def _told_apart(features_IUKD: Doubles, weight_SI: Doubles) -> Doubles:
    """Share of right choices between every two segments [S, U, U], items weighted; a tie is half right."""
    segments = features_IUKD.shape[1]
    found_SUU = np.zeros((len(weight_SI), segments, segments))
    for one in range(segments):
        for other in range(one + 1, segments):
            right_S = _right(features_IUKD[:, one], features_IUKD[:, other], weight_SI)
            found_SUU[:, one, other] = found_SUU[:, other, one] = right_S
    return found_SUU


def _right(one_IKD: Doubles, other_IKD: Doubles, weight_SI: Doubles) -> Doubles:
    """Share of right choices between two segments [S]."""
    items, candidates = one_IKD.shape[:2]
    shift_ID = (one_IKD - other_IKD).mean(axis=1)
    first_Q, second_Q = np.nonzero(~np.eye(candidates, dtype=bool))
    apart_IQD = one_IKD[:, first_Q] - other_IKD[:, second_Q]
    along_IQI = apart_IQD @ shift_ID.T  # along the shift of every item; its own is left out
    along_IQI[np.arange(items), :, np.arange(items)] = 0.0
    choice_IQS = along_IQI @ weight_SI.T
    right_IS = ((choice_IQS > 0) + 0.5 * (choice_IQS == 0)).mean(axis=1)
    return np.asarray((right_IS * weight_SI.T).sum(axis=0))


def _groups(told_UU: Doubles) -> list[int]:
    """Complete linkage, cut just below ``TOLD_APART``."""
    tree: NDArray[np.float64] = linkage(squareform(told_UU, checks=False), method="complete")
    return [int(group) for group in fcluster(tree, t=np.nextafter(TOLD_APART, 0.0), criterion="distance")]


def _checked(features_IUKD: Features) -> Doubles:
    found = np.asarray(features_IUKD, dtype=np.float64)
    if found.ndim != 4 or min(found.shape[:3]) < 2:
        raise MetricInputError(
            f"features of shape {found.shape}; expected [items, segments, candidates, features], 2 or more each"
        )
    if not np.isfinite(found).all():
        raise MetricInputError(f"{int((~np.isfinite(found)).any(axis=-1).sum())} covers have features that are not finite")
    return found
