from datetime import timedelta

import numpy as np
import pytest

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.holdout import is_held_out_item, is_held_out_user
from icg_tasks.models.preference.samples import inverse_propensity_weights, read_split
from tests.models.preference.planting import LAST, context_for


@pytest.fixture(scope="module")
def split(planted, tmp_path_factory):
    return read_split(context_for(planted, tmp_path_factory.mktemp("work")))


def users(part):
    return {part.user_ids[row] for row in part.group_R}


def items(part):
    return {part.item_ids[row] for row in part.item_R}


def test_held_out_users_and_items_are_in_no_training_row(split):
    for part in (split.train, split.validation):
        assert users(part)
        assert not any(map(is_held_out_user, users(part)))
        assert not any(map(is_held_out_item, items(part)))
    assert users(split.test)
    assert all(map(is_held_out_user, users(split.test)))
    assert not any(map(is_held_out_item, items(split.test)))
    assert all(map(is_held_out_item, items(split.test_new_items)))


def test_early_stopping_watches_users_that_do_not_learn(split):
    assert not users(split.train) & users(split.validation)


def test_the_judged_rows_are_those_of_the_run_date(split, planted, tmp_path):
    earlier = read_split(context_for(planted, tmp_path, run_date=LAST)).counts
    assert earlier == split.counts
    total = sum(count for name, count in split.counts.items() if name.startswith("test"))
    held_out = sum(map(is_held_out_user, planted.user_ids)) / len(planted.user_ids)
    assert total == pytest.approx(6_000 * held_out, rel=0.2)


def test_rows_point_at_what_was_shown_and_to_whom(split, planted):
    part = split.train
    generated = np.array([not np.array_equal(part.covers_NV[c], planted.covers[planted.item_ids.index(part.item_ids[i])])
                          for c, i in zip(part.cover_R[-500:], part.item_R[-500:], strict=True)])  # fmt: skip
    assert 0.1 < generated.mean() < 0.4
    zero = part.user_R == 0
    assert not part.users_UV[0].any()
    assert 0 < zero.mean() < 0.5  # the first day, and users without a past


def test_the_same_store_gives_the_same_rows(split, planted, tmp_path):
    again = read_split(context_for(planted, tmp_path))
    for name in ("users_UV", "covers_NV", "user_R", "cover_R", "slot_R", "clicked_R", "weight_R"):
        np.testing.assert_array_equal(getattr(again.train, name), getattr(split.train, name))


def test_too_many_rows_are_cut_by_whole_users(split, planted, tmp_path):
    fewer = read_split(context_for(planted, tmp_path, "preference.max_rows=15000"))
    assert 0.3 < fewer.counts["train_rows"] / split.counts["train_rows"] < 0.7
    kept = users(fewer.train)
    whole = sum(split.train.user_ids[row] in kept for row in split.train.group_R)
    assert whole == len(fewer.train)


def test_weights_make_an_items_covers_count_alike():
    propensity = np.array([0.9] * 90 + [0.1] * 10 + [1.0] * 5)
    weights = inverse_propensity_weights(propensity, np.array([0] * 100 + [1] * 5))
    assert weights[:90].sum() == pytest.approx(weights[90:100].sum(), rel=1e-5)
    assert weights[:100].mean() == pytest.approx(1.0)
    assert weights[100:] == pytest.approx(1.0)


def test_a_tiny_propensity_is_clipped():
    weights = inverse_propensity_weights(np.array([1e-9, 1.0]), np.array([0, 0]))
    assert weights[0] / weights[1] == pytest.approx(10.0)


def test_without_a_day_to_learn_from_it_says_which_stage_to_run(planted, tmp_path):
    with pytest.raises(DataMissing, match="validate-impressions"):
        read_split(context_for(planted, tmp_path, run_date=planted.days[0]))
    with pytest.raises(DataMissing, match="found: "):
        read_split(context_for(planted, tmp_path, run_date=LAST + timedelta(days=1)))
