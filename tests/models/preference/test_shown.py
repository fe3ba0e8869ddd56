from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from icg_tasks.contracts import schemas
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.partitions import COVER_FEATURES, ITEM_FEATURES
from icg_tasks.lake.folder import FolderStore
from icg_tasks.lake.partitions import write_partition
from icg_tasks.models.preference.shown import shown_covers, vector_matrix
from tests.models.preference.planting import LAST

BEFORE = LAST - timedelta(days=1)


def write_items(store, day, vectors, encoder="e"):
    names = list(vectors)
    hashes = [f"{name}-{vectors[name]}" for name in names]
    columns = {"item_id": names, "content_hash": hashes, "encoder": [encoder] * len(names), "vector": list(vectors.values())}
    table = pa.table(columns, schema=schemas.ITEM_FEATURES)
    write_partition(store, ITEM_FEATURES, day, [table], schema=schemas.ITEM_FEATURES, metadata={"encoder": encoder})


def write_covers(store, day, vectors):
    table = pa.table(
        {"cover_id": list(vectors), "item_id": ["x"] * len(vectors), "vector": list(vectors.values())},
        schema=schemas.COVER_FEATURES,
    )
    write_partition(store, COVER_FEATURES, day, [table], schema=schemas.COVER_FEATURES)


def impressions(*rows):
    return pa.table({"item_id": [item for item, _ in rows], "cover_id": pa.array([cover for _, cover in rows], pa.string())})


@pytest.fixture
def store(tmp_path):
    made = FolderStore(tmp_path)
    write_items(made, LAST, {"x": [1.0, 2.0], "y": [3.0, 4.0]})
    return made


def looked_up(store, table, day=LAST):
    found = shown_covers(store, LAST, {day: table})
    return [found.covers_NV[row].tolist() if row >= 0 else None for row in found.rows[day]]


def test_the_image_that_was_shown_counts_with_its_items_title(store):
    write_covers(store, BEFORE, {"c": [9.0]})
    assert looked_up(store, impressions(("x", None), ("x", "c"), ("y", "c"))) == [[1, 2], [9, 2], [9, 4]]


def test_what_has_no_vector_has_no_row(store):
    assert looked_up(store, impressions(("x", "unheard of"), ("z", None))) == [None, None]


def test_a_cover_made_after_the_run_date_is_not_known(store):
    write_covers(store, LAST + timedelta(days=1), {"c": [9.0]})
    assert looked_up(store, impressions(("x", "c"))) == [None]


def test_a_day_is_read_with_the_catalogue_of_that_day(store):
    write_items(store, BEFORE, {"x": [7.0, 8.0]})
    assert looked_up(store, impressions(("x", None), ("y", None)), BEFORE) == [[7, 8], [3, 4]]
    assert looked_up(store, impressions(("x", None))) == [[1, 2]]


def test_a_catalogue_of_another_encoder_is_left_out(store):
    write_items(store, BEFORE, {"x": [7.0, 8.0]}, encoder="former")
    assert looked_up(store, impressions(("x", None)), BEFORE) == [[1, 2]]


def test_vectors_of_odd_width_or_with_holes_are_refused(tmp_path):
    write_items(FolderStore(tmp_path), LAST, {"x": [1.0, 2.0, 3.0]})
    with pytest.raises(DataCorrupt, match="width 3"):
        looked_up(FolderStore(tmp_path), impressions(("x", None)))
    for bad in ([[1.0, float("nan")]], [[1.0]], [None]):
        with pytest.raises(DataCorrupt, match="somewhere"):
            vector_matrix(pa.chunked_array([pa.array(bad, schemas.VECTOR)]), 2, "somewhere")


def test_without_item_vectors_there_is_nothing_to_learn(tmp_path):
    with pytest.raises(DataMissing, match="features/items"):
        looked_up(FolderStore(tmp_path), impressions(("x", None)))


def test_equal_vectors_are_kept_once(store):
    found = shown_covers(store, LAST, {BEFORE: impressions(("x", None)), LAST: impressions(("x", None), ("x", None))})
    assert len(np.unique(np.concatenate(list(found.rows.values())))) == 1
