"""When collaborative vectors are learned, from which clicks, and that the same clicks give the same bytes."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from icg_tasks.config.features import FactorSettings, FeatureSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.features.exact_sums import vector_matrix
from icg_tasks.features.item_factors import _numbered, click_pairs, item_factors, numbered, plan_factors
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.lake.store import open_store
from tests.features.small_store import DAY, NUM_ITEMS, NUM_USERS, impressions, write_impressions

SETTINGS = FeatureSettings(factors=FactorSettings(rank=4, iterations=4), factor_days=1)


def learned(spark, store, settings=SETTINGS, day=DAY):
    plan = plan_factors(store, day, settings, 2)
    return plan, item_factors(spark, store, plan, settings.factors, 2)


def clicked(day, seed):
    rows = impressions(day, seed).to_pylist()
    return {(row["user_id"], row["item_id"]) for row in rows if row["clicked"]}


def test_every_clicked_pair_is_there_once_under_numbers_of_its_own(spark, store):
    plan = plan_factors(store, DAY, SETTINGS, 2)
    items = [f"item{number:03d}" for number in range(NUM_ITEMS)]
    found = numbered(click_pairs(spark, store, plan.impressions), items, 2).toArrow().to_pylist()
    expected = set().union(*(clicked(DAY - timedelta(days=age), age) for age in range(3)))
    assert len(found) == len({(row["user"], row["item"]) for row in found}) == len(expected)
    assert len({row["user"] for row in found}) == len({user for user, _ in expected}) <= NUM_USERS
    tastes = {}
    for row in found:
        tastes.setdefault(row["user"], set()).add(items[row["item"]])
    by_name = {}
    for user, item in expected:
        by_name.setdefault(user, set()).add(item)
    assert sorted(map(sorted, tastes.values())) == sorted(map(sorted, by_name.values()))


def test_a_bucket_without_pairs_gives_nothing():
    assert list(_numbered([], items=["a"], num_buckets=2)) == []


def test_the_same_clicks_give_the_same_bytes_and_another_space_for_others(spark, store, tmp_path):
    plan, first = learned(spark, store)
    assert plan.found is None
    assert learned(spark, store)[0].found == first  # not learned again
    other = open_store(str(tmp_path / "other"))
    for age in range(3):  # the same rows in another order
        day = DAY - timedelta(days=age)
        table = impressions(day, seed=age)
        write_impressions(other, day, table.take(np.random.default_rng(age).permutation(len(table))))
    again = learned(spark, other)[1]
    names = [read_partition(each, keys.ITEM_FACTORS, DAY)["item_id"].to_pylist() for each in (store, other)]
    assert names[0] == names[1] == sorted(names[0])
    vectors = [vector_matrix(read_partition(each, keys.ITEM_FACTORS, DAY)["vector"], 4) for each in (store, other)]
    assert np.array_equal(vectors[0], vectors[1])
    assert np.linalg.norm(vectors[0], axis=1).max() == pytest.approx(1.0)
    assert again.metadata["encoder"] != first.metadata["encoder"]  # other files: never mixed with the former ones' sums
    rank = replace(SETTINGS, factors=FactorSettings(rank=3, iterations=4))
    assert plan_factors(store, DAY, rank, 2).found is None


def test_likes_show_in_the_vectors(spark, store):
    learned(spark, store)
    table = read_partition(store, keys.ITEM_FACTORS, DAY)
    parity = np.array([int(name[4:]) % 2 for name in table["item_id"].to_pylist()])
    unit = vector_matrix(table["vector"], 4).astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    alike = unit @ unit.T
    same = parity[:, None] == parity[None]
    assert alike[same & ~np.eye(len(unit), dtype=bool)].mean() > alike[~same].mean() + 0.1


def test_they_hold_until_the_next_date_of_theirs_and_follow_their_clicks(store):
    settings = replace(SETTINGS, factor_days=7)
    anchor = DAY - timedelta(days=DAY.toordinal() % 7)
    write_impressions(store, anchor, impressions(anchor, seed=9))
    plans = [plan_factors(store, anchor + timedelta(days=ahead), settings, 2) for ahead in range(7)]
    assert {plan.day for plan in plans} == {anchor}
    assert len({plan.fingerprint for plan in plans}) == 1
    assert all(part.run_date <= anchor for part in plans[0].impressions)
    write_impressions(store, anchor, impressions(anchor, seed=10))  # late rows, or an erasure
    assert plan_factors(store, anchor, settings, 2).fingerprint != plans[0].fingerprint


def test_before_their_first_date_the_run_date_counts_and_never_a_later_one(store):
    first = DAY - timedelta(days=2)
    every = next(days for days in range(4, 50) if first.toordinal() % days > 2 and DAY.toordinal() % days > 2)
    plan = plan_factors(store, first, replace(SETTINGS, factor_days=every), 2)
    assert plan.day == first
    assert [part.run_date for part in plan.impressions] == [first]


def test_without_a_click_it_says_what_to_do(spark, tmp_path):
    store = open_store(str(tmp_path / "quiet"))
    table = impressions(DAY, seed=1)
    at = table.schema.get_field_index("clicked")
    write_impressions(store, DAY, table.set_column(at, "clicked", pa.array([False] * len(table))))
    with pytest.raises(DataMissing, match="segment_vectors=content"):
        learned(spark, store)
    assert find_partition(store, keys.ITEM_FACTORS, DAY) is None
