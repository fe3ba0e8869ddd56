"""How far what is shown has moved: nothing for the same exposure, in units of the catalogue's spread for another."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from icg_tasks.contracts.schemas import ITEM_FEATURES
from icg_tasks.intake.exposure import exposure_shift
from icg_tasks.lake.partitions import write_partition

DAY = date(2026, 3, 10)
SHOWN = pa.schema([("item_id", pa.string())])


def put(store, day: date, items: list[str]) -> None:
    write_partition(store, "clean/impressions", day, [pa.table({"item_id": items})], schema=SHOWN)


@pytest.fixture
def vectors(store):
    """Two clusters, at -1 and 1 of the first axis: the catalogue's spread is 1."""
    rows = [
        {"item_id": f"i{number}", "content_hash": "c", "encoder": "e", "vector": [-1.0 if number < 5 else 1.0, 0.0]}
        for number in range(10)
    ]
    parts = [pa.Table.from_pylist(part, schema=ITEM_FEATURES) for part in (rows[:3], rows[3:])]
    write_partition(store, "features/items", DAY - timedelta(days=1), parts, schema=ITEM_FEATURES)


def shift(store, items: list[str]) -> float | None:
    return exposure_shift(store, DAY, pa.chunked_array([items]))


def test_shift_is_the_distance_of_the_means_in_units_of_the_spread(store, vectors):
    put(store, DAY - timedelta(days=1), ["i0", "i9"] * 10)
    assert shift(store, ["i1", "i8"] * 4) == pytest.approx(0.0)
    assert shift(store, ["i9"] * 7) == pytest.approx(1.0)
    assert shift(store, ["i9", "i9", "i9", "i0", "unknown"]) == pytest.approx(0.5)


def test_without_a_day_before_or_vectors_nothing_is_told(store, vectors):
    assert shift(store, ["i0"]) is None
    put(store, DAY - timedelta(days=9), ["i0"])
    assert shift(store, ["i0"]) is None
    put(store, DAY - timedelta(days=1), ["i0"])
    assert shift(store, ["nobody knows it"]) is None
    assert shift(store, ["i0"]) == 0.0


def test_vectors_of_the_day_itself_are_not_looked_at(store):
    put(store, DAY - timedelta(days=1), ["i0"])
    row = {"item_id": "i0", "content_hash": "c", "encoder": "e", "vector": [1.0, 0.0]}
    write_partition(store, "features/items", DAY, [pa.Table.from_pylist([row], schema=ITEM_FEATURES)], schema=ITEM_FEATURES)
    assert shift(store, ["i0"]) is None
