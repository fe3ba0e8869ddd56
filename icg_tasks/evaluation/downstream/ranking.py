"""How well scores rank what a reader clicked later: AUC, NDCG@10, recall@10, one value per reader. Knows numbers only.

Legend: U readers, I items.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from icg_tasks.contracts.errors import DataCorrupt

AUC, NDCG, RECALL = "auc", "ndcg_at_10", "recall_at_10"
RANKING_METRICS = (AUC, NDCG, RECALL)
_TOP = 10


def rank_metrics(
    score_UI: NDArray[np.float64], target_UI: NDArray[np.bool_], known_UI: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Metric to values [U] in [0, 1]: targets ranked among all items that the reader did not know (ties share their rank).

    Raises DataCorrupt for scores that are not finite, or a reader without target or without any other item.
    """
    if not np.isfinite(score_UI).all():
        raise DataCorrupt("scores to rank are not finite")
    found = [_one(*row) for row in zip(score_UI, target_UI, known_UI, strict=True)]
    return {name: np.array([row[number] for row in found]) for number, name in enumerate(RANKING_METRICS)}


def _one(score_I: NDArray[np.float64], target_I: NDArray[np.bool_], known_I: NDArray[np.bool_]) -> tuple[float, float, float]:
    candidates = ~known_I
    hit, score = target_I[candidates], score_I[candidates]
    positives, others = int(hit.sum()), int((~hit).sum())
    if not positives or not others:
        raise DataCorrupt(f"a reader with {positives} targets among {positives + others} candidates cannot be ranked")
    rank = rankdata(score)
    auc = (rank[hit].sum() - positives * (positives + 1) / 2) / (positives * others)
    best = np.lexsort((np.arange(len(score)), -score))[:_TOP]  # ties: the catalogue's order
    gains = hit[best] / np.log2(np.arange(2, len(best) + 2))
    ideal = (1 / np.log2(np.arange(2, min(positives, _TOP) + 2))).sum()
    return float(auc), float(gains.sum() / ideal), float(hit[best].sum() / min(positives, _TOP))
