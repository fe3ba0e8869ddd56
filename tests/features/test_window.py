from datetime import timedelta

import pytest

from icg_tasks.config.features import EventSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.features.window import plan_window
from icg_tasks.lake.partitions import write_partition
from tests.features.small_store import DAY, impressions, item_vectors, write_impressions, write_items

BEFORE = DAY - timedelta(days=1)


def remember(store, plan):
    for day in plan.days:
        write_partition(
            store, keys.USER_DAYS, day.day, [schemas.USER_DAYS.empty_table()], schema=schemas.USER_DAYS,
            metadata={"fingerprint": day.fingerprint, "buckets": 2},
        )  # fmt: skip


def missing(store, day=DAY, window_days=10):
    return [plan.day for plan in plan_window(store, day, window_days, 2).missing]


def test_all_days_once_then_none(store):
    plan = plan_window(store, DAY, 10, 2)
    assert [day.day for day in plan.missing] == [DAY - timedelta(days=age) for age in (2, 1, 0)]
    assert {day.items.run_date for day in plan.days} == {DAY}
    remember(store, plan)
    assert missing(store) == []


def test_other_buckets_or_event_weights_are_other_sums(store):
    remember(store, plan_window(store, DAY, 10, 2))
    assert len(plan_window(store, DAY, 10, 3).missing) == 3
    assert len(plan_window(store, DAY, 10, 2, EventSettings(skip_weight=0.5)).missing) == 3


def test_only_what_changed_is_computed_again(store):
    remember(store, plan_window(store, DAY, 10, 2))
    write_impressions(store, BEFORE, impressions(BEFORE, seed=77))
    assert missing(store) == [BEFORE]
    write_items(store, BEFORE, item_vectors(seed=9))
    assert missing(store) == [BEFORE - timedelta(days=1), BEFORE]


def test_a_new_day_leaves_earlier_ones_alone_and_the_window_moves(store):
    remember(store, plan_window(store, DAY, 10, 2))
    after = DAY + timedelta(days=1)
    write_impressions(store, after, impressions(after, seed=5))
    write_items(store, after, item_vectors(seed=2))
    assert missing(store, after) == [after]
    assert [day.day for day in plan_window(store, after, 2, 2).days] == [DAY, after]


def test_nothing_later_than_the_run_date_counts(store):
    remember(store, plan_window(store, DAY, 10, 2))
    after = DAY + timedelta(days=1)
    write_impressions(store, after, impressions(after, seed=5))
    write_items(store, after, item_vectors(seed=2))
    write_partition(store, keys.COVER_FEATURES, DAY, [schemas.COVER_FEATURES.empty_table()], schema=schemas.COVER_FEATURES)
    plan = plan_window(store, DAY, 10, 2)
    assert plan.missing == []
    assert plan.covers == []  # published on the run date: shown from the next day on
    assert [part.run_date for part in plan_window(store, after, 10, 2).covers] == [DAY]


def test_vectors_of_another_encoder_are_never_mixed(store):
    write_items(store, BEFORE, item_vectors(seed=9), encoder="e0")
    assert {day.items.run_date for day in plan_window(store, DAY, 10, 2).days} == {DAY}


def test_what_is_missing_is_named(store):
    with pytest.raises(DataMissing, match="icg embed-items --run-date 2026-03-03"):
        plan_window(store, BEFORE, 10, 2)
    after = DAY + timedelta(days=1)
    write_items(store, after, item_vectors())
    with pytest.raises(DataMissing, match="icg validate-impressions"):
        plan_window(store, after, 10, 2)
