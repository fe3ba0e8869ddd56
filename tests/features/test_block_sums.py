"""Partial sums against their definition, for any rows, in any order, chunking, bucketing and encoding."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from icg_tasks.config.features import EventSettings
from icg_tasks.features import block_sums
from icg_tasks.features.event_weights import UNIT
from icg_tasks.features.exact_sums import VECTOR_BITS, vector_matrix
from icg_tasks.features.spark_hash import bucket_of
from icg_tasks.features.user_blocks import LINE_COLUMNS, packed
from tests.features.shown_rows import COVERS, ITEM_VECTORS, ITEMS, WIDTH, reference, shown, summed, table_of

ROWS = some.lists(
    some.fixed_dictionaries(
        {
            "user_id": some.sampled_from(["u1", "u2", "ü3", "a much longer name of a user", ""]),
            "item_id": some.sampled_from(ITEMS),
            "cover_id": some.sampled_from([None, None, *COVERS, "c2"]),
            "surface": some.sampled_from(["home", "search"]),
            "position": some.integers(0, 3),
            "clicked": some.booleans(),
            "dwell_seconds": some.one_of(some.none(), some.floats(0, 500)),
            "propensity": some.floats(0.01, 1),
        }
    ),
    min_size=1,
    max_size=40,
)
EVENTS = some.sampled_from(
    [
        EventSettings(),
        EventSettings(max_propensity_weight=20.0),
        EventSettings(
            click_weight=2.0, skip_weight=0.5, full_dwell_seconds=60.0, position_discount=0.7, recency_half_life_hours=24.0
        ),
    ]
)
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    return shown(tmp_path_factory.mktemp("vectors"))


@few
@given(rows=ROWS, events=EVENTS)
def test_sums_are_those_of_the_definition(vectors, rows, events):
    found = {row["user_id"]: row for row in summed([table_of(rows)], vectors, events).to_pylist()}
    expected = reference(rows, events)
    assert set(found) == set(expected)
    for user, (vector, information, impressions, clicks) in expected.items():
        assert found[user]["vector_sum"] == pytest.approx(vector, abs=2e-4)
        assert found[user]["weight"] == pytest.approx(information, abs=2e-4)
        assert (found[user]["impressions"], found[user]["clicks"]) == (impressions, clicks)


@few
@given(rows=ROWS, events=EVENTS, seed=some.integers(0, 99), cut=some.integers(0, 40))
def test_order_chunks_and_encoding_do_not_matter(vectors, rows, events, seed, cut):
    whole = table_of(rows)
    mixed = whole.take(np.random.default_rng(seed).permutation(len(whole)))
    encoded = mixed.set_column(0, "user_id", mixed["user_id"].dictionary_encode())
    chunks = [encoded.slice(0, cut), encoded.slice(cut)]
    assert summed(chunks, vectors, events).equals(summed([whole], vectors, events))
    order = [("user_id", "ascending")]
    rebucketed = summed([whole], vectors, events, num_buckets=5)
    assert rebucketed.sort_by(order).equals(summed([whole], vectors, events).sort_by(order))


@few
@given(rows=ROWS, events=EVENTS)
def test_where_covers_do_not_matter_every_row_counts_with_its_item(vectors, rows, events):
    """As collaborative vectors have it, which know no image half."""
    plain = [row | {"cover_id": None} for row in rows]
    found = summed([table_of(rows)], replace(vectors, by_cover=False), events)
    assert found.equals(summed([table_of(plain)], vectors, events))


def test_a_user_is_in_sparks_bucket_and_users_ascend(vectors):
    rows = [{"user_id": f"user{number:03d}", "item_id": "item0"} for number in range(50)]
    table = summed([table_of(rows)], vectors, num_buckets=3)
    buckets = bucket_of(table["user_id"].combine_chunks(), 3).tolist()
    assert buckets == sorted(buckets)
    for bucket in range(3):
        mine = [user for user, own in zip(table["user_id"].to_pylist(), buckets, strict=True) if own == bucket]
        assert mine == sorted(mine)


@pytest.mark.parametrize("slices", [1 << 24, 3])
def test_a_bot_beyond_63_bits_is_still_exact(vectors, monkeypatch, slices):
    """Two lines whose sum of weight x vector passes 2^63, and an ordinary user beside them; also in the smallest slices."""
    monkeypatch.setattr(block_sums, "_MATRIX_VALUES", slices)
    weight = 3 << 50
    for weights in ([weight, weight + 1], [weight + 1, weight], [7, 9]):
        lines = [
            pa.RecordBatch.from_arrays(
                [pa.array([name]), *(pa.array([1]) for _ in range(3)), pa.array([[vectors.codes]]), pa.array([[value]])],
                LINE_COLUMNS,
            )
            for name, value in (("bot", weights[0]), ("bot", weights[1]), ("reader", 1 << 20))
        ]
        table = block_sums.day_sums([packed(line) for line in lines], vectors)
        found = vector_matrix(table["vector_sum"], WIDTH)
        exact = np.rint(ITEM_VECTORS[0].astype(np.float64) * 2**VECTOR_BITS) / 2**VECTOR_BITS
        assert found[1] == pytest.approx(exact, abs=1e-6)
        assert found[0] == pytest.approx(exact * (sum(weights) / UNIT), rel=1e-6)
        assert table["impressions"].to_pylist() == [2, 1]


def test_a_bots_million_events_are_as_small_as_the_catalogue(vectors):
    from icg_tasks.features.user_blocks import BlockMaker
    from tests.features.shown_rows import DAY

    rows = table_of([{"user_id": "bot", "item_id": f"item{number}"} for number in range(4)])
    many = pa.concat_tables([rows] * 5_000)
    maker = BlockMaker(events=EventSettings(), rates={DAY: {("home", 0): 0.1}}, shown={DAY: vectors}, num_buckets=2)
    blocks = [row["block"] for batch in maker(DAY, [many]) for row in batch.to_pylist()]
    assert [len(block) < 2_000 for block in blocks] == [True]
