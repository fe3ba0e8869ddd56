from collections import defaultdict
from datetime import timedelta

import numpy as np
import pytest

from icg_tasks.contracts import schemas
from icg_tasks.features.user_vectors import (
    NORM_SCALE,
    RATE_PRIOR_IMPRESSIONS,
    Matrices,
    click_residuals,
    day_sums_by_broadcast,
    day_sums_by_join,
    decayed_vectors,
    scaled,
    unplaced,
    with_row_numbers,
    with_vectors,
)
from tests.features.small_store import DAY, NUM_ITEMS, WIDTH, impressions, item_vectors

COVERS = ("c0", "c1")
DAYS = [(DAY - timedelta(days=age)).isoformat() for age in range(2)]
KNOWN_ITEMS = NUM_ITEMS - 2  # the last two have no vector


@pytest.fixture(scope="module")
def tables():
    return [impressions(DAY - timedelta(days=age), seed=age, cover_ids=(None, None, *COVERS, "unknown")) for age in range(2)]


@pytest.fixture(scope="module")
def vectors():
    return item_vectors()[:KNOWN_ITEMS], np.eye(4, dtype=np.float32)[:2]


@pytest.fixture(scope="module")
def frame(spark, tables):
    columns = ["user_id", "item_id", "cover_id", "surface", "position", "clicked"]
    parts = [table.select(columns).append_column("ds", [[day] * len(table)]) for day, table in zip(DAYS, tables, strict=True)]
    return spark.createDataFrame(parts[0]).unionByName(spark.createDataFrame(parts[1])).cache()


def sums(frame, spark, vectors, *, by_join):
    residuals = click_residuals(frame)
    ids = [f"item{number:03d}" for number in range(KNOWN_ITEMS)]
    if by_join:
        placed = [(day, name, vector.tolist()) for day in DAYS for name, vector in zip(ids, vectors[0], strict=True)]
        items = spark.createDataFrame(placed, "ds string, item_id string, vector array<float>")
        pairs = list(zip(COVERS, vectors[1].tolist(), strict=True))
        rows = with_vectors(residuals, items, spark.createDataFrame(pairs, "cover_id string, vector array<float>"))
        return day_sums_by_join(rows, WIDTH, 2), unplaced(rows, "item_vector", "cover_vector")
    numbered = [(day, name, row) for day in DAYS for row, name in enumerate(ids)]
    items = spark.createDataFrame(numbered, "ds string, item_id string, item_row int")
    covers = spark.createDataFrame([(name, row) for row, name in enumerate(COVERS)], "cover_id string, cover_row int")
    rows = with_row_numbers(residuals, items, covers)
    matrices = spark.sparkContext.broadcast(Matrices(items=vectors[0], covers=vectors[1]))
    return day_sums_by_broadcast(rows, matrices, 2), unplaced(rows, "item_row", "cover_row")


def by_hand(tables, vectors):
    """The definition, row by row in floats."""
    found = defaultdict(lambda: [np.zeros(WIDTH), 0.0, 0, 0])
    for day, table in zip(DAYS, tables, strict=True):
        rows = table.to_pylist()
        overall = sum(row["clicked"] for row in rows) / len(rows)
        for row in rows:
            place = [other for other in rows if (other["surface"], other["position"]) == (row["surface"], row["position"])]
            clicks = sum(other["clicked"] for other in place)
            rate = (clicks + RATE_PRIOR_IMPRESSIONS * overall) / (len(place) + RATE_PRIOR_IMPRESSIONS)
            vector = np.zeros(WIDTH)
            if int(row["item_id"][4:]) < KNOWN_ITEMS:
                vector += vectors[0][int(row["item_id"][4:])]
            if row["cover_id"] is not None:
                vector[: WIDTH // 2] = vectors[1][COVERS.index(row["cover_id"])] if row["cover_id"] in COVERS else 0
            entry = found[day, row["user_id"]]
            entry[0] += (row["clicked"] - rate) * vector
            entry[1] += rate * (1 - rate)
            entry[2] += 1
            entry[3] += row["clicked"]
    return found


def test_partial_sums_are_those_of_the_definition(frame, spark, vectors, tables):
    found, lost = sums(frame, spark, vectors, by_join=False)
    rows, expected = found.toArrow().to_pylist(), by_hand(tables, vectors)
    assert len(rows) == len(expected) > 100
    for row in rows:
        vector, weight, shown, clicks = expected[row["ds"], row["user_id"]]
        assert row["vector_sum"] == pytest.approx(vector, abs=1e-5)
        assert row["weight"] == pytest.approx(weight, abs=1e-4)
        assert (row["impressions"], row["clicks"]) == (shown, clicks)
    every = [row for table in tables for row in table.to_pylist()]
    without_item = sum(int(row["item_id"][4:]) >= KNOWN_ITEMS for row in every)
    assert lost.first().asDict() == {
        "without_item": without_item, "without_cover": sum(row["cover_id"] == "unknown" for row in every),
    }  # fmt: skip


def test_join_and_any_partitioning_give_the_same_bits(frame, spark, vectors):
    order = [("ds", "ascending"), ("user_id", "ascending")]
    first = sums(frame, spark, vectors, by_join=False)[0].toArrow().sort_by(order)
    joined = sums(frame, spark, vectors, by_join=True)[0].toArrow().sort_by(order)
    shuffled = sums(frame.repartition(5, "position"), spark, vectors, by_join=False)[0].toArrow().sort_by(order)
    assert first.equals(joined)
    assert first.equals(shuffled)


def test_window_decays_shrinks_and_repeats_itself(spark):
    days = [("u1", [4.0, 0.0], 2.0, 5, 1, 1.0), ("u1", [0.0, 8.0], 4.0, 7, 2, 0.5), ("u2", [1.0, 1.0], 0.0, 1, 0, 0.25)]
    frame = spark.createDataFrame(
        days, "user_id string, vector_sum array<float>, weight double, impressions long, clicks long, decay double"
    )
    rows = {row["user_id"]: row for row in decayed_vectors(frame, 2, 4.0, 2).collect()}
    assert rows["u1"]["vector"] == [0.5, 0.5]
    assert (rows["u1"]["weight"], rows["u1"]["impressions"], rows["u1"]["clicks"]) == (4.0, 12, 3)
    assert rows["u1"]["squared_norm"] == NORM_SCALE / 2
    assert rows["u2"]["vector"] == [0.0625, 0.0625]
    again = decayed_vectors(frame.repartition(3, "decay"), 2, 4.0, 2).toArrow().sort_by("user_id")
    assert again.equals(decayed_vectors(frame, 2, 4.0, 2).toArrow().sort_by("user_id"))
    users = scaled(decayed_vectors(frame, 2, 4.0, 2), 4.0, "2026-03-04")
    assert users.columns == ["ds", *schemas.USERS.names]
    assert sorted(row["vector"][0] for row in users.collect()) == [0.25, 2.0]
