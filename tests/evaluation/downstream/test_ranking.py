import numpy as np
import pytest

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.evaluation.downstream.ranking import rank_metrics


def auc_of_pairs(score: np.ndarray, hit: np.ndarray) -> float:
    wins = [np.sign(good - bad) / 2 + 0.5 for good in score[hit] for bad in score[~hit]]
    return float(np.mean(wins))


def ndcg_of_list(score: np.ndarray, hit: np.ndarray) -> float:
    ranked = [hit[row] for row in sorted(range(len(score)), key=lambda row: -score[row])][:10]
    discount = [1 / np.log2(place + 2) for place in range(10)]
    return float(np.dot(ranked, discount[: len(ranked)]) / sum(discount[: min(10, hit.sum())]))


def test_metrics_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=(20, 40)), 1)  # with ties
    known = rng.random((20, 40)) < 0.2
    target = (rng.random((20, 40)) < 0.2) & ~known
    target[:, 0], known[:, 0] = True, False
    untied = scores + 1e-6 * rng.permutation(40)
    found, ranked = rank_metrics(scores, target, known), rank_metrics(untied, target, known)
    for row in range(20):
        free = ~known[row]
        assert found["auc"][row] == pytest.approx(auc_of_pairs(scores[row, free], target[row, free]))
        assert ranked["ndcg_at_10"][row] == pytest.approx(ndcg_of_list(untied[row, free], target[row, free]))
        best = np.argsort(-untied[row, free])[:10]
        expected = target[row, free][best].sum() / min(10, target[row].sum())
        assert ranked["recall_at_10"][row] == pytest.approx(expected)


def test_known_items_never_count() -> None:
    target = np.array([[False, True, False]])
    known = np.array([[True, False, False]])
    found = rank_metrics(np.array([[9.0, 2.0, 1.0]]), target, known)
    assert [found[name][0] for name in ("auc", "ndcg_at_10", "recall_at_10")] == [1.0, 1.0, 1.0]


def test_what_cannot_be_ranked_is_refused() -> None:
    one = np.array([[1.0, 2.0]])
    with pytest.raises(DataCorrupt, match="not finite"):
        rank_metrics(one * np.nan, np.array([[True, False]]), np.zeros((1, 2), bool))
    with pytest.raises(DataCorrupt, match="0 targets"):
        rank_metrics(one, np.zeros((1, 2), bool), np.zeros((1, 2), bool))
