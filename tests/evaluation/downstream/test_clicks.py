import numpy as np
import pytest

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.holdout import is_held_out_user
from icg_tasks.evaluation.downstream.clicks import Clicks, split_clicks


def clicks(readers: int = 200, days: int = 10, seed: int = 1) -> Clicks:
    rng = np.random.default_rng(seed)
    pairs = [(user, item) for user in range(readers) for item in rng.choice(30, size=8, replace=False)]
    user, item = np.array(pairs).T
    return Clicks(
        user_ids=[f"reader-{number}" for number in range(readers)],
        item_ids=[f"item-{number}" for number in range(30)],
        user_N=user,
        item_N=item,
        day_N=rng.integers(days, size=len(user)),
    )


def test_readers_and_days_are_both_held_out() -> None:
    given = clicks()
    split = split_clicks(given)
    assert len(split.test_U) > 5
    assert all(is_held_out_user(given.user_ids[row]) for row in split.test_U)
    assert not any(is_held_out_user(given.user_ids[row]) for row in [*split.train_U, *split.validation_U])
    assert not set(split.train_U) & set(split.validation_U)
    assert not (split.known_UI & split.target_UI).any()
    asked = set(split.test_U) | set(split.validation_U)
    assert set(np.flatnonzero(split.target_UI.any(axis=1))) == asked
    for user, item, day in zip(given.user_N, given.item_N, given.day_N, strict=True):
        assert split.known_UI[user, item] == (day < split.cut)
        assert split.early_UI[user, item] == (day < split.early_cut)
    assert split.early_cut < split.cut
    assert (split.known_UI & ~split.early_UI)[split.train_U].any(axis=1).all()
    assert 0.6 < (given.day_N < split.cut).mean() < 0.9


def test_a_split_that_cannot_be_is_refused() -> None:
    with pytest.raises(DataMissing, match="at least two"):
        split_clicks(clicks(days=1))
    with pytest.raises(DataMissing, match="held out"):
        split_clicks(clicks(readers=3))
