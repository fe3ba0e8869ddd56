"""Centres out of a sample: their count given or chosen, and where the sample's users were yesterday. No Spark."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from icg_tasks.config.features import FeatureSettings
from icg_tasks.contracts.partitions import USER_SEGMENTS
from icg_tasks.contracts.schemas import USER_SEGMENTS as SCHEMA
from icg_tasks.features import clustering
from icg_tasks.features.segment_search import Sample, find_grouping, former_groups
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.store import open_store

DAY = date(2026, 3, 4)
SETTINGS = FeatureSettings(num_segments=9, kmeans_starts=4, kmeans_dimensions=6)


def sample(tastes=3, count=600):
    rng = np.random.default_rng(1)
    items = rng.normal(size=(80, 8))
    own = rng.integers(tastes, size=count)
    likes = rng.normal(size=(tastes, 8)) * 3
    vectors = likes[own] + rng.normal(size=(count, 8)) * 0.4
    return Sample(
        vectors_NV=vectors.astype(np.float32), weight_N=np.full(count, 5.0), former_N=None, items_IV=items, prior_weight=20.0
    )


def test_a_given_count_is_kept_and_never_more_than_users_allow():
    assert [len(find_grouping(sample(), most, SETTINGS)[0].centres_KD) for most in (20, 4)] == [9, 4]
    assert find_grouping(sample(), 20, SETTINGS)[1] == {}


def test_the_count_that_agrees_with_itself_is_chosen():
    settings = FeatureSettings(segment_counts="2,3,8", min_segment_agreement=0.9, kmeans_starts=6, kmeans_dimensions=6)
    grouping, found = find_grouping(sample(), 20, settings)
    assert sorted(found) == [2, 3, 8]
    assert len(grouping.centres_KD) == 3
    assert sorted(find_grouping(sample(), 3, settings)[1]) == [2, 3]


def test_former_segments_of_the_asked_users(tmp_path):
    store = open_store(str(tmp_path))
    parts = [
        pa.table({"user_id": ["a", "b"], "segment_id": ["s001", "_all"]}),
        pa.table({"user_id": ["c", "d"], "segment_id": ["s000", "s001"]}),
    ]
    write_partition(store, USER_SEGMENTS, DAY - timedelta(days=1), parts, schema=SCHEMA)
    users = pa.array(["a", "b", "c", "new", "d"])
    assert former_groups(store, DAY, users).tolist() == [1, -1, 0, -1, 1]
    assert former_groups(store, DAY, pa.array(["a", "new"])).tolist() == [0, -1]
    assert former_groups(store, DAY - timedelta(days=1), users) is None


@pytest.mark.parametrize("most", [7, 1 << 23])
def test_points_find_their_centre_in_any_slices(monkeypatch, most):
    monkeypatch.setattr(clustering, "_MAX_DISTANCES", most)
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(50, 3)), rng.normal(size=(4, 3))
    nearest = np.square(points[:, None] - centres[None]).sum(axis=2).argmin(axis=1)
    assert clustering.assign(points, centres).tolist() == nearest.tolist()
