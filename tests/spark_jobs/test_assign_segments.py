from collections import Counter
from datetime import timedelta

import numpy as np
import pytest

import spark_jobs.assign_segments as job
import spark_jobs.build_user_embeddings as vectors_job
from icg_tasks.config.features import FactorSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing, GateRefused, SettingsError
from icg_tasks.contracts.schemas import EVERYONE, USERS
from icg_tasks.contracts.stages import ASSIGN_SEGMENTS, BUILD_USER_EMBEDDINGS
from icg_tasks.features.exact_sums import vector_matrix
from icg_tasks.lake.partitions import find_partition, read_partition, write_partition
from tests.features.small_store import DAY, NUM_USERS, WIDTH, impressions, item_vectors, write_impressions, write_items
from tests.spark_jobs.test_build_user_embeddings import context

NEXT = DAY + timedelta(days=1)


def run(store, tmp_path, day=DAY, **features):
    vectors_job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS, day))
    return job.run(context(store, tmp_path, ASSIGN_SEGMENTS, day, **features))


def segments(store, day=DAY):
    return {row["segment_id"]: row for row in read_partition(store, keys.SEGMENTS, day).to_pylist()}


def members(store, day=DAY):
    return dict(zip(*read_partition(store, keys.USER_SEGMENTS, day).to_pydict().values(), strict=True))


def everything(store):
    return {key: store.get(key) for key in [*store.list("features/segments"), *store.list("features/user_segments")]}


def test_two_days_of_segments(spark, store, tmp_path):
    two = {"num_segments": 2}  # as many as there are tastes
    outcome = run(store, tmp_path, **two)
    first, users = segments(store), members(store)
    assert outcome.counts["users"] == len(users) == NUM_USERS
    assert {name: row["size"] for name, row in first.items()} == dict(Counter(users.values()))
    assert all(row["size"] >= 5 for row in first.values())
    assert sorted(row["rank"] for row in first.values()) == list(range(len(first)))
    assert all(row["matched_from"] is None and row["drift"] is None for row in first.values())

    table = read_partition(store, keys.USERS, DAY)
    vector_of = dict(zip(table["user_id"].to_pylist(), vector_matrix(table["vector"], WIDTH), strict=True))
    for name, row in first.items():
        mean = np.mean([vector_of[user] for user, mine in users.items() if mine == name], axis=0)
        assert row["centroid"] == pytest.approx(mean, abs=1e-5)
        assert len(row["history"]) == len(set(row["history"])) <= 3
        assert len(row["top_items"]) == 10
    assert sum(row["expected_traffic"] for row in first.values()) == pytest.approx(900, rel=0.02)
    assert history_is_to_their_taste(first, users)

    written = everything(store)
    run(store, tmp_path, **two)
    assert everything(store) == written

    write_impressions(store, NEXT, impressions(NEXT, seed=8))
    write_items(store, NEXT, item_vectors())
    again = run(store, tmp_path, NEXT, **two)
    assert again.counts["kept_names"] == len(first) == 2
    kept = sum(users[user] == name for user, name in members(store, NEXT).items())
    assert kept > 0.6 * NUM_USERS
    drifts = [row["drift"] for row in segments(store, NEXT).values() if row["matched_from"]]
    assert drifts
    assert max(drifts) < 0.5


def history_is_to_their_taste(found, users):
    """Users like items of their own parity: histories of segments that lean one way must too."""
    right, asked = 0, 0
    for name, row in found.items():
        parities = Counter(int(user[4:]) % 2 for user, mine in users.items() if mine == name)
        for item in row["history"]:
            right += int(item[4:]) % 2 == parities.most_common(1)[0][0]
            asked += 1
    return asked == 6 and right / asked > 0.7


def test_small_groups_are_merged_and_the_little_known_left_to_everyone(spark, store, tmp_path):
    vectors_job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS))
    table = read_partition(store, keys.USERS, DAY)
    weight = np.where(np.arange(len(table)) < 7, 0.05, table["weight"].to_numpy())
    column = table.schema.get_field_index("weight")
    metadata = find_partition(store, keys.USERS, DAY).metadata
    write_partition(store, keys.USERS, DAY, [table.set_column(column, "weight", [weight])], schema=USERS, metadata=metadata)
    job.run(context(store, tmp_path, ASSIGN_SEGMENTS, min_segment_users=12))
    users, found = members(store), segments(store)
    assert [name == EVERYONE for name in (users[user] for user in table["user_id"].to_pylist())] == [True] * 7 + [False] * (
        NUM_USERS - 7
    )
    assert EVERYONE not in found
    assert 1 <= len(found) <= 4
    assert min(row["size"] for row in found.values()) >= 12


def test_too_few_users_are_refused_and_nothing_is_written(spark, store, tmp_path):
    with pytest.raises(GateRefused, match="a segment needs 61"):
        run(store, tmp_path, min_segment_users=NUM_USERS + 1)
    assert everything(store) == {}


def test_vectors_must_be_there(store, tmp_path):
    with pytest.raises(DataMissing, match="build-user-embeddings --run-date 2026-03-04"):
        job.run(context(store, tmp_path, ASSIGN_SEGMENTS))


def test_what_a_segment_sees_may_be_told_from_the_last_days_alone(spark, store, tmp_path):
    """Rows of the days before are not read: they may even be gone."""
    run(store, tmp_path, num_segments=2, profile_days=1)
    found = segments(store)
    assert sum(row["expected_traffic"] for row in found.values()) == pytest.approx(900, rel=0.05)
    for age in (1, 2):
        for key in list(store.list(f"clean/impressions/ds={DAY - timedelta(days=age)}/part-")):
            store.delete(key)
    job.run(context(store, tmp_path, ASSIGN_SEGMENTS, num_segments=2, profile_days=1))
    assert segments(store) == found


def test_segments_may_be_told_by_who_clicked_what(spark, store, tmp_path):
    """The whole way: item vectors learned, users' sums of them, groups by those, means of content vectors; twice the same."""
    told = {"num_segments": 2, "segment_vectors": "collaborative", "factors": FactorSettings(rank=4, iterations=4)}
    built = vectors_job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS, DAY, **told))
    assert built.counts["taste_users"] == built.counts["users"] == NUM_USERS
    assert built.counts["taste_days_computed"] == 3
    outcome = job.run(context(store, tmp_path, ASSIGN_SEGMENTS, DAY, **told))
    users = members(store)
    assert outcome.counts["users"] == len(users) == NUM_USERS
    table = read_partition(store, keys.USERS, DAY)
    vector_of = dict(zip(table["user_id"].to_pylist(), vector_matrix(table["vector"], WIDTH), strict=True))
    for name, row in segments(store).items():
        mean = np.mean([vector_of[user] for user, mine in users.items() if mine == name], axis=0)
        assert row["centroid"] == pytest.approx(mean, abs=1e-5)  # of what covers are drawn for
    assert history_is_to_their_taste(segments(store), users)
    tastes = {name: Counter(int(user[4:]) % 2 for user, mine in users.items() if mine == name) for name in segments(store)}
    assert sum(max(count.values()) for count in tastes.values()) > 0.85 * NUM_USERS

    written = {key: store.get(key) for key in store.list("features/")}
    again = vectors_job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS, DAY, **told))
    assert again.counts["taste_days_computed"] == 0
    for key in [key for key in written if "taste" in key or "item_factors" in key]:
        store.delete(key)
    vectors_job.run(context(store, tmp_path, BUILD_USER_EMBEDDINGS, DAY, **told))
    job.run(context(store, tmp_path, ASSIGN_SEGMENTS, DAY, **told))
    assert {key: store.get(key) for key in store.list("features/")} == written


def test_collaborative_vectors_that_are_not_there_are_asked_for(spark, store, tmp_path):
    with pytest.raises(DataMissing, match=r"with features\.segment_vectors=collaborative"):
        run(store, tmp_path, segment_vectors="collaborative")
    with pytest.raises(SettingsError, match="expected content or collaborative"):
        job.run(context(store, tmp_path, ASSIGN_SEGMENTS, DAY, segment_vectors="als"))
