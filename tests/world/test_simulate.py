import hashlib
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from icg_tasks.config import Settings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.partitions import IMAGES_RAW, IMPRESSIONS_RAW, ITEMS_RAW
from icg_tasks.lake.partitions import find_partition, list_partition_dates, read_partition
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.stage import StageContext
from icg_tasks.world.items import shelf
from icg_tasks.world.simulate import run

Made = Callable[..., StageContext]


def _raw(store: ObjectStore, day: date) -> pa.Table:
    return read_partition(store, IMPRESSIONS_RAW, day)


def test_days_are_written_with_known_counts_of_what_is_wrong(context: Made, store: ObjectStore, day: date) -> None:
    outcome = run(context(arguments={"days": 3}))
    assert list_partition_dates(store, IMPRESSIONS_RAW) == [day - timedelta(days=back) for back in (2, 1, 0)]
    assert outcome.counts["days"] == 3
    table, partition = _raw(store, day), find_partition(store, IMPRESSIONS_RAW, day)
    assert partition is not None
    known = partition.metadata
    ids = Counter(name for name in table["impression_id"].to_pylist() if name is not None)
    assert sum(count - 1 for count in ids.values()) == known["duplicates"] > 0
    assert known["malformed_rows"] == sum(known["malformed"].values()) > 0
    assert table["clicked"].to_pylist().count(7) == known["malformed"]["click_out_of_range"]
    shown_on = [text[:10] for text in table["shown_at"].to_pylist() if text.startswith("2026")]
    early = sum(text < day.isoformat() for text in shown_on)
    assert early == pytest.approx(known["late"] + known["too_late"], abs=known["duplicates"] + known["malformed_rows"])
    assert known["late"] > 0


def test_proportions_of_bad_rows_follow_the_settings(context: Made, settings: Settings, store: ObjectStore, day: date) -> None:
    chosen = replace(settings, world=replace(settings.world, late_share=0.1, duplicate_share=0.05, malformed_share=0.08))
    run(context(chosen=chosen))
    partition = find_partition(store, IMPRESSIONS_RAW, day)
    assert partition is not None
    known = partition.metadata
    sound = known["rows"] - known["duplicates"]
    assert known["malformed_rows"] / sound == pytest.approx(0.08, abs=0.002)
    assert known["duplicates"] / sound == pytest.approx(0.05, abs=0.01)
    assert (known["late"] + known["too_late"]) / sound == pytest.approx(0.1, abs=0.03)


def test_a_day_alone_is_the_day_in_a_window(context: Made, settings: Settings, store: ObjectStore, day: date, tmp_path) -> None:
    run(context(arguments={"days": 3}))
    other = open_store(str(tmp_path / "other"))
    alone = replace(context(arguments={"days": 1}), store=other)
    run(alone)
    for key in other.list("raw/"):
        assert hashlib.sha256(other.get(key)).digest() == hashlib.sha256(store.get(key)).digest(), key


def test_every_listed_item_has_its_cover_and_the_cover_is_the_drawn_one(
    context: Made, settings: Settings, store: ObjectStore, day: date
) -> None:
    run(context())
    table = read_partition(store, ITEMS_RAW, day)
    items = shelf(settings.world, day).items
    assert table["item_id"].to_pylist() == [item.item_id for item in items]
    for item, name in list(zip(items, table["reference_image"].to_pylist(), strict=True))[::9]:
        with Image.open(io.BytesIO(store.get(f"{IMAGES_RAW}/{name}"))) as image:
            np.testing.assert_array_equal(np.asarray(image), item.draw())


def test_every_shown_item_is_listed_even_for_late_rows(context: Made, store: ObjectStore, day: date) -> None:
    run(context())
    listed = set(read_partition(store, ITEMS_RAW, day)["item_id"].to_pylist())
    shown = {name for name in _raw(store, day)["item_id"].to_pylist() if name and not name.endswith("-gone")}
    assert shown
    assert shown <= listed


def test_another_seed_is_another_world(context: Made, settings: Settings, store: ObjectStore, day: date) -> None:
    run(context())
    first = _raw(store, day)
    run(context(chosen=replace(settings, world=replace(settings.world, seed=8))))
    assert not first.equals(_raw(store, day))


@pytest.mark.parametrize(("name", "value"), [("num_items", 0), ("malformed_share", 1.5), ("exploration", -0.1)])
def test_an_impossible_world_is_explained(context: Made, settings: Settings, name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"world.{name} is {value}"):
        run(context(chosen=replace(settings, world=replace(settings.world, **{name: value}))))


def test_the_smallest_world_lives(context: Made, settings: Settings, store: ObjectStore, day: date) -> None:
    tiny = replace(settings.world, num_items=3, num_users=2, impressions_per_day=20)
    run(context(chosen=replace(settings, world=tiny)))
    assert _raw(store, day).num_rows >= 6


def test_a_foolish_number_of_days_is_explained(context: Made) -> None:
    with pytest.raises(SettingsError, match="--days is 0"):
        run(context(arguments={"days": 0}))
