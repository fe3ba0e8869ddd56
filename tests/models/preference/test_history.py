from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from icg_tasks.contracts import schemas
from icg_tasks.contracts.partitions import USER_DAYS, USERS
from icg_tasks.features.vector_formula import global_scale
from icg_tasks.lake.folder import FolderStore
from icg_tasks.lake.partitions import write_partition
from icg_tasks.models.preference.history import vectors_before
from tests.models.preference.planting import ENCODER, LAST, Planted, context_for

DAYS = [LAST - timedelta(days=2), LAST - timedelta(days=1), LAST]


def write_sums(store, day, rows, encoder=ENCODER):
    table = pa.table(
        {
            "user_id": [name for name, *_ in rows],
            "vector_sum": [vector for _, vector, _ in rows],
            "weight": [weight for *_, weight in rows],
            "impressions": [1] * len(rows),
            "clicks": [1] * len(rows),
        },
        schema=schemas.USER_DAYS,
    )
    write_partition(store, USER_DAYS, day, [table], schema=schemas.USER_DAYS, metadata={"encoder": encoder, "width": 2})


@pytest.fixture
def context(tmp_path):
    planted = Planted(FolderStore(tmp_path / "store"), [], [], None, None, None, DAYS)
    return context_for(planted, tmp_path, "features.half_life_days=1", "features.prior_weight=1", "features.window_days=2")


def before(context, day_R, group_R, users=("a", "b")):
    table, rows = vectors_before(context, DAYS, np.array(day_R), np.array(group_R), list(users), 2, ENCODER)
    return table[rows]


def test_a_vector_is_the_decayed_shrunken_sum_of_the_days_before(context):
    write_sums(context.store, DAYS[0], [("a", [4.0, 0.0], 3.0)])
    write_sums(context.store, DAYS[1], [("a", [0.0, 2.0], 1.0)])
    scale = 10.0
    write_partition(context.store, USERS, LAST, [schemas.USERS.empty_table()], schema=schemas.USERS, metadata={"scale": scale})
    found = before(context, [0, 1, 2], [0, 0, 0])
    expected = [[0, 0], [4 / 4 * scale, 0], [4 * 0.5 / 3.5 * scale, 2 / 3.5 * scale]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_day_beyond_the_window_no_longer_counts(context):
    write_sums(context.store, DAYS[0] - timedelta(days=1), [("a", [1.0, 0.0], 1.0)])
    found = before(context, [0, 1, 2], [0, 0, 0])
    assert found[0].any()
    assert found[1].any()
    assert not found[2].any()


def test_no_click_of_a_day_is_in_a_vector_that_predicts_that_day(context):
    write_sums(context.store, DAYS[0], [("a", [1.0, 1.0], 1.0)])
    clean = before(context, [0, 1, 2], [0, 1, 0])
    write_sums(context.store, DAYS[2], [("a", [1e6, 1e6], 1.0), ("b", [1e6, 1e6], 1.0)])
    write_sums(context.store, DAYS[2] + timedelta(days=1), [("a", [1e6, 1e6], 1.0)])
    np.testing.assert_array_equal(before(context, [0, 1, 2], [0, 1, 0]), clean)


def test_sums_of_another_encoder_do_not_count(context):
    write_sums(context.store, DAYS[0], [("a", [1.0, 1.0], 1.0)], encoder="former-encoder")
    assert not before(context, [2], [0]).any()


def test_without_a_published_scale_the_vectors_get_a_mean_square_of_one(context):
    write_sums(context.store, DAYS[0], [("a", [1.0, 0.0], 1.0), ("b", [0.0, 3.0], 2.0)])
    assert global_scale(before(context, [1, 1], [0, 1])) == pytest.approx(1.0)


def test_unknown_users_are_nobody_special(context):
    write_sums(context.store, DAYS[0], [("somebody else", [1.0, 0.0], 1.0)])
    assert not before(context, [2, 2], [0, 1]).any()
