"""The downstream table: recommenders that read own, unpersonalised, personalised or wrong covers, and baselines that read none.

Every reader's segment is told from early clicks alone: what a held-out reader clicked later decides nothing. Knows matrices.
Legend: U readers, I items, S segments, E image vector, T title vector, V = E + T item vector.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.evaluation.downstream.clicks import Rows, Split
from icg_tasks.evaluation.downstream.ranking import RANKING_METRICS, rank_metrics
from icg_tasks.evaluation.downstream.recommenders import ContentSettings, content_scores, ease_scores, popularity_scores
from icg_tasks.evaluation.table import Resampling, interval_row

POPULARITY: Final = "popularity"
EASE: Final = "ease"
NO_IMAGE: Final = "no_image"
OWN: Final = "own_cover"
PLAIN: Final = "unpersonalised"
PERSONAL: Final = "personalised"
WRONG_ITEM: Final = "cover_of_another_item"
RANDOM_SEGMENT: Final = "personalised_random_segment"
DOWNSTREAM_ARMS: Final = (POPULARITY, EASE, NO_IMAGE, OWN, PLAIN, PERSONAL, WRONG_ITEM, RANDOM_SEGMENT)
DOWNSTREAM_DIFFERENCES: Final = (
    (OWN, NO_IMAGE),
    (PLAIN, OWN),
    (PERSONAL, OWN),
    (PERSONAL, PLAIN),
    (PERSONAL, RANDOM_SEGMENT),
    (WRONG_ITEM, NO_IMAGE),
)

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Covers:
    """Unit image vectors of every item's covers, and title vectors."""

    title_IT: Floats
    own_IE: Floats
    plain_IE: Floats
    personal_SIE: Floats


def segments_from_early(split: Split, vectors_IV: Floats, centroids_SV: Floats) -> Rows:
    """Each reader's segment [U]: the centroid nearest (cosine) to the mean of the early clicks, less the mean item."""
    about_IV = vectors_IV - vectors_IV.mean(axis=0)
    early = split.early_UI.astype(np.float32)
    taste_UV = early @ about_IV / np.maximum(early.sum(axis=1, keepdims=True), 1)
    centred_SV = centroids_SV / np.maximum(np.linalg.norm(centroids_SV, axis=1, keepdims=True), 1e-12)
    return np.asarray((taste_UV @ centred_SV.T).argmax(axis=1), dtype=np.int64)


def downstream_rows(
    split: Split,
    covers: Covers,
    segment_U: Rows,
    *,
    seeds: int = 3,
    bootstrap_samples: int = 1000,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The table and its paired differences: rows of {"arm", "metric", "mean", "low", "high", "n"} over held-out readers.

    Values of learned arms are means over ``seeds`` trainings. Intervals are bootstrap over readers.
    """
    values: dict[tuple[str, str], NDArray[np.float64]] = {}
    for arm, features in _features(covers, segment_U).items():
        say(f"{arm}: {'no training' if features is None else f'{seeds} trainings'}")
        for metric, value_U in _judged(split, arm, features, seeds).items():
            values[arm, metric] = value_U
    resampling = Resampling.over(len(split.test_U), bootstrap_samples, 1)
    rows = [
        {"arm": arm, "metric": metric, **interval_row(value_U.mean(), resampling.means(value_U), len(value_U))}
        for (arm, metric), value_U in values.items()
    ]
    gains = []
    for arm, less in DOWNSTREAM_DIFFERENCES:
        for metric in RANKING_METRICS:
            gain_U = values[arm, metric] - values[less, metric]
            found = interval_row(gain_U.mean(), resampling.means(gain_U), len(gain_U))
            gains.append({"arm": arm, "less": less, "metric": metric, **found})
    return rows, gains


@dataclass(frozen=True, kw_only=True)
class _Features:
    items_SIF: Floats
    segment_U: Rows


def _features(covers: Covers, segment_U: Rows) -> Mapping[str, _Features | None]:
    """What each arm reads; None for the baselines that read nothing."""
    rng = np.random.default_rng(11)
    everybody = np.zeros_like(segment_U)
    titles_1IT = covers.title_IT[None]
    count = len(covers.personal_SIE)

    def with_titles(images_SIE: Floats) -> Floats:
        titles = np.broadcast_to(titles_1IT, (len(images_SIE), *covers.title_IT.shape))
        return np.concatenate([titles, images_SIE], axis=2)

    personal = with_titles(covers.personal_SIE)
    return {
        POPULARITY: None,
        EASE: None,
        NO_IMAGE: _Features(items_SIF=titles_1IT, segment_U=everybody),
        OWN: _Features(items_SIF=with_titles(covers.own_IE[None]), segment_U=everybody),
        PLAIN: _Features(items_SIF=with_titles(covers.plain_IE[None]), segment_U=everybody),
        PERSONAL: _Features(items_SIF=personal, segment_U=segment_U),
        WRONG_ITEM: _Features(items_SIF=with_titles(rng.permutation(covers.own_IE)[None]), segment_U=everybody),
        RANDOM_SEGMENT: _Features(items_SIF=personal, segment_U=rng.integers(count, size=len(segment_U))),
    }


def _judged(split: Split, arm: str, features: _Features | None, seeds: int) -> dict[str, NDArray[np.float64]]:
    users = split.test_U
    target, known = split.target_UI[users], split.known_UI[users]
    if arm == POPULARITY:
        return rank_metrics(np.broadcast_to(popularity_scores(split), target.shape), target, known)
    if arm == EASE or features is None:
        return rank_metrics(ease_scores(split, users), target, known)
    found = [
        rank_metrics(
            content_scores(split, features.items_SIF, features.segment_U, users, ContentSettings(seed=seed)), target, known
        )
        for seed in range(seeds)
    ]
    return {metric: np.mean([one[metric] for one in found], axis=0) for metric in RANKING_METRICS}
