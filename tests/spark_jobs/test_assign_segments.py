from collections import Counter
from datetime import timedelta

import numpy as np
import pytest

import spark_jobs.assign_segments as job
import spark_jobs.build_user_embeddings as vectors_job
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing, GateRefused
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
