import numpy as np
import pytest

from icg_tasks.config.features import FactorSettings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.schemas import ITEM_FEATURES
from icg_tasks.features.collaborative import item_features, learn_factors, recall_at, user_factors
from icg_tasks.features.exact_sums import vector_matrix

SETTINGS = FactorSettings(rank=4, iterations=5)


def test_a_users_factors_minimise_the_objective():
    rng = np.random.default_rng(0)
    items, liked = rng.normal(size=(12, 4)), np.array([1, 5, 7])
    found = user_factors(items, [liked, np.array([], dtype=np.int64)], SETTINGS)

    def cost(user):
        wanted, confidence = np.zeros(12), np.ones(12)
        wanted[liked], confidence[liked] = 1.0, 1.0 + SETTINGS.alpha
        return (confidence * (wanted - items @ user) ** 2).sum() + SETTINGS.regularisation * len(liked) * user @ user

    least = cost(found[0])
    assert all(cost(found[0] + rng.normal(size=4) * 0.01) > least for _ in range(20))
    assert not found[1].any()


def test_factors_come_as_item_features():
    table = item_features(["a", "b"], np.array([[3.0, 4.0], [0.0, 1.0]]), SETTINGS)
    assert table.schema.equals(ITEM_FEATURES)
    assert vector_matrix(table["vector"], 2).tolist() == [pytest.approx([0.6, 0.8]), pytest.approx([0.0, 0.2])]
    assert table["encoder"].to_pylist()[0] != item_features(["a"], np.ones((1, 2)), FactorSettings())["encoder"].to_pylist()[0]


def test_recall_counts_unknown_items_only():
    scores = np.array([[9.0, 5.0, 4.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    known, wanted = [np.array([0]), np.array([3])], [np.array([1, 3]), np.array([0, 1])]
    assert recall_at(scores, known, wanted, 2) == pytest.approx((0.5 + 0.5) / 2)
    assert recall_at(scores, known, wanted, 1) == pytest.approx(0.5)


@pytest.mark.slow
def test_who_likes_the_same_is_alike(spark):
    rows = [(user, item, 1.0) for user in range(24) for item in range(10) if (user + item) % 2 == 0 and (user, item) != (0, 8)]
    ids, factors = learn_factors(spark.createDataFrame(rows, "user int, item int, strength float"), SETTINGS, num_blocks=2)
    assert ids == list(range(10))
    scores = user_factors(factors, [np.array([0, 2, 4, 6])], SETTINGS) @ factors.T
    assert np.argsort(-scores[0])[:5].tolist().count(8) == 1
    with pytest.raises(DataMissing, match="nobody liked anything"):
        learn_factors(spark.createDataFrame([], "user int, item int, strength float"), SETTINGS)
