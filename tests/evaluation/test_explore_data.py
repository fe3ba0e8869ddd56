"""What covers.html lists of a day that several generators made covers of."""

import pyarrow as pa

from icg_tasks.evaluation.explore_data import _first_of_each


def test_each_generator_shows_its_first_variant() -> None:
    table = pa.table({"generator": ["icg", "icg", "pigeon", "pigeon", "icg"], "variant": [0, 1, 2, 3, 0]})
    assert table.filter(_first_of_each(table))["variant"].to_pylist() == [0, 2, 0]


def test_a_day_without_covers_has_none() -> None:
    table = pa.table({"generator": pa.array([], pa.string()), "variant": pa.array([], pa.int32())})
    assert table.filter(_first_of_each(table)).num_rows == 0
