"""Declared schemas: what the issue names is there, and raw ids never share a type of place with hashed ones."""

import pyarrow as pa
import pytest

from icg_tasks.contracts import schemas

ALL = {name: value for name, value in vars(schemas).items() if isinstance(value, pa.Schema)}


def test_raw_data_sets_have_the_agreed_columns():
    assert schemas.RAW_IMPRESSIONS.names == [
        "impression_id", "user_id", "item_id", "shown_at", "surface",
        "position", "cover_id", "propensity", "clicked", "dwell_seconds",
    ]  # fmt: skip
    assert schemas.RAW_ITEMS.names == ["item_id", "title", "reference_image", "category", "language", "updated_at"]


@pytest.mark.parametrize("name", sorted(ALL))
def test_schema_survives_parquet(name, tmp_path):
    import pyarrow.parquet as pq

    pq.write_table(ALL[name].empty_table(), tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").schema.equals(ALL[name])


def test_there_are_schemas():
    assert len(ALL) >= 12
