"""A planted world: readers click by topic, and, in one of two worlds, by the look of the cover."""

import numpy as np
import pytest

from icg_tasks.evaluation.downstream.clicks import Clicks, Split, split_clicks
from icg_tasks.evaluation.downstream.compare import (
    DOWNSTREAM_ARMS,
    EASE,
    NO_IMAGE,
    OWN,
    PERSONAL,
    POPULARITY,
    WRONG_ITEM,
    Covers,
    downstream_rows,
    segments_from_early,
)
from icg_tasks.evaluation.downstream.ranking import NDCG, RANKING_METRICS

READERS, ITEMS, TOPICS, LOOKS = 1500, 60, 4, 3


def world(look_matters: bool, seed: int = 0) -> tuple[Split, Covers, np.ndarray]:
    rng = np.random.default_rng(seed)
    topic_I, look_I = rng.integers(TOPICS, size=ITEMS), rng.integers(LOOKS, size=ITEMS)
    topic_U, look_U = rng.integers(TOPICS, size=READERS), rng.integers(LOOKS, size=READERS)
    logit = 2.0 * (topic_U[:, None] == topic_I) + 0.5 * rng.normal(size=ITEMS)
    if look_matters:
        logit = logit + 2.0 * (look_U[:, None] == look_I)
    order = np.argsort(-(logit + rng.gumbel(size=logit.shape)), axis=1)[:, :8]
    pairs = [(user, item) for user in range(READERS) for item in order[user]]
    user, item = np.array(pairs).T
    clicks = Clicks(
        user_ids=[f"reader-{number}" for number in range(READERS)],
        item_ids=[f"item-{number}" for number in range(ITEMS)],
        user_N=user,
        item_N=item,
        day_N=rng.integers(10, size=len(user)),
    )
    own = np.eye(LOOKS, dtype=np.float32)[look_I]
    personal = np.stack([np.tile(np.eye(LOOKS, dtype=np.float32)[look], (ITEMS, 1)) for look in range(LOOKS)])
    covers = Covers(title_IT=np.eye(TOPICS, dtype=np.float32)[topic_I], own_IE=own, plain_IE=own, personal_SIE=personal)
    return split_clicks(clicks), covers, look_U


@pytest.fixture(scope="module")
def tables() -> dict[bool, dict[tuple[str, str], dict[str, float]]]:
    found = {}
    for matters in (True, False):
        split, covers, look_U = world(matters)
        rows, gains = downstream_rows(split, covers, look_U, seeds=1, bootstrap_samples=200)
        found[matters] = {(row["arm"], row["metric"]): row for row in rows}
        found[matters] |= {(f"{row['arm']}-{row['less']}", row["metric"]): row for row in gains}
    return found


def test_every_arm_and_metric_is_there(tables) -> None:
    for table in tables.values():
        assert {(arm, metric) for arm in DOWNSTREAM_ARMS for metric in RANKING_METRICS} <= set(table)


def test_covers_help_where_looks_matter_and_only_there(tables) -> None:
    assert tables[True][f"{OWN}-{NO_IMAGE}", NDCG]["low"] > 0.02
    assert abs(tables[False][f"{OWN}-{NO_IMAGE}", NDCG]["mean"]) < 0.03
    assert abs(tables[True][f"{WRONG_ITEM}-{NO_IMAGE}", NDCG]["mean"]) < 0.03


def test_one_look_for_all_items_of_a_reader_tells_nothing_about_items(tables) -> None:
    for table in tables.values():
        assert abs(table[PERSONAL, NDCG]["mean"] - table[NO_IMAGE, NDCG]["mean"]) < 0.04


def test_learned_recommenders_beat_popularity(tables) -> None:
    for arm in (EASE, NO_IMAGE, OWN):
        assert tables[True][arm, NDCG]["mean"] > tables[True][POPULARITY, NDCG]["mean"] + 0.05


def test_segments_come_from_early_clicks_alone() -> None:
    split, covers, look_U = world(look_matters=True)
    centroids = np.eye(LOOKS, dtype=np.float32) - 1 / LOOKS
    found = segments_from_early(split, covers.own_IE, centroids)
    agreement = (found == look_U)[split.early_UI.any(axis=1)].mean()
    assert agreement > 0.55
    blind = Split(**{**vars(split), "target_UI": np.zeros_like(split.target_UI), "known_UI": split.early_UI})
    assert np.array_equal(found, segments_from_early(blind, covers.own_IE, centroids))
