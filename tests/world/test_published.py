import hashlib
import io
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from icg_tasks.config import Settings
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import COVER_MANIFESTS, IMPRESSIONS_RAW, USER_SEGMENTS, blob_key
from icg_tasks.contracts.pseudonym import pseudonym, pseudonym_key
from icg_tasks.contracts.schemas import COVER_MANIFEST
from icg_tasks.contracts.schemas import USER_SEGMENTS as USER_SEGMENTS_SCHEMA
from icg_tasks.lake.partitions import read_partition, write_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext
from icg_tasks.world.attributes import CoverAttributes, all_looks
from icg_tasks.world.days import Cast, cast_of
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.published import covers_up, decode_cover
from icg_tasks.world.readers import reader_name
from icg_tasks.world.simulate import run


def _publish(store: ObjectStore, cast: Cast, day: date, best_of: dict[str, int]) -> None:
    """Covers of every item for segments "a" (users of archetype 0) and "_all", each in one look."""
    rows = []
    for segment, look in best_of.items():
        for item in cast.shelf.items:
            image = draw_cover(CoverAttributes(subject=item.attributes.subject, look=all_looks()[look]), seed=9)
            sink = io.BytesIO()
            Image.fromarray(image).save(sink, format="WEBP", lossless=True)
            name = hashlib.sha256(sink.getvalue()).hexdigest()
            store.put(blob_key(name), sink.getvalue())
            rows.append(
                {"segment_id": segment, "item_id": item.item_id, "variant": 0, "cover_id": name, "blob": blob_key(name)}
            )
    table = pa.Table.from_pylist(rows, schema=COVER_MANIFEST)
    write_partition(store, COVER_MANIFESTS, day, [table], schema=COVER_MANIFEST)
    key = pseudonym_key()
    users = [pseudonym(reader_name(cast.readers.first + row), key) for row in np.flatnonzero(cast.readers.archetype_U == 0)]
    members = pa.table({"user_id": sorted(users), "segment_id": ["a"] * len(users)}, schema=USER_SEGMENTS_SCHEMA)
    write_partition(store, USER_SEGMENTS, day, [members], schema=USER_SEGMENTS_SCHEMA)


def test_published_covers_are_shown_next_day_and_liked_by_those_they_were_made_for(
    context: Callable[..., StageContext], settings: Settings, store: ObjectStore, day: date
) -> None:
    cast, published = cast_of(settings.world, day), day - timedelta(days=1)
    mine = cast.readers.archetype_U == 0
    taste = cast.readers.look_UL[mine].mean(axis=0)
    indices = np.array([CoverAttributes(subject="cat", look=look).as_indices()[1:] for look in all_looks()])
    worth = taste[indices + np.array([0, 8, 12, 16])].sum(axis=1)
    _publish(store, cast, published, {"a": int(worth.argmax()), "_all": int(worth.argmin())})
    run(context())
    table = read_partition(store, IMPRESSIONS_RAW, day).to_pandas()
    names = {reader_name(cast.readers.first + row) for row in np.flatnonzero(mine)}
    sound = table[table.user_id.isin(names) & table.clicked.isin([0, 1]) & (table.propensity == settings.world.exploration)]
    shown, own = sound[sound.cover_id.notna()], sound[sound.cover_id.isna()]
    assert len(shown) > 200
    assert 0.4 < len(shown) / len(sound) < 0.6
    assert shown.clicked.mean() > 1.5 * own.clicked.mean()
    strangers = {reader_name(cast.readers.first + row) for row in np.flatnonzero(~mine)}
    others = table[table.user_id.isin(strangers) & table.cover_id.notna()]
    assert len(others) > 200
    assert set(others.cover_id).isdisjoint(shown.cover_id)


def test_covers_of_the_same_day_or_later_are_not_up(settings: Settings, store: ObjectStore, day: date) -> None:
    cast = cast_of(settings.world, day)
    _publish(store, cast, day, {"_all": 0})
    assert covers_up(store, settings, day, cast, print) is None
    assert covers_up(store, settings, day + timedelta(days=1), cast, print) is not None


@pytest.mark.parametrize("data", [b"", b"RIFF garbage", b"\x89PNG\r\n\x1a\n" + b"0" * 40])
def test_a_blob_that_is_no_image_is_explained(settings: Settings, data: bytes) -> None:
    with pytest.raises(DataCorrupt, match="some/blob"):
        decode_cover(data, "some/blob", settings)


def test_an_image_far_too_large_is_refused_before_it_is_decoded(settings: Settings) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(sink, format="PNG")
    with pytest.raises(DataCorrupt, match="4000 x 4000"):
        decode_cover(sink.getvalue(), "some/blob", settings)
