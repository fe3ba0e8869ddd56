"""Small whole days of other kinds: both generators side by side, and the second catalogue, stickers of emotions."""

import io
from datetime import date
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from PIL import Image

from icg_tasks.contracts import partitions
from icg_tasks.contracts.stages import day_in_order
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.partitions import read_partition
from icg_tasks.world.stickers import EMOTION_OF, EMOTION_PHRASES
from tests.pipeline.conftest import SmallWorld, simulated

DAY = date(2026, 3, 10)
BOTH = "icg,pigeon"
SHORT_PIGEON = (
    "pigeon.reconstruction_steps=4",
    "pigeon.preference_steps=1",
    "pigeon.pair_windows=2",
    "pigeon.pair_min_margin=0.0",
    "pigeon.ratios=2",
    "pigeon.batch_size=4",
    "pigeon.evaluate_every=2",
    "pigeon.check_windows=12",
    "pigeon.max_windows=96",
    "pigeon.max_loss=1.0",
)
PHRASES = [phrase for emotion in EMOTION_OF.values() for phrase in EMOTION_PHRASES[emotion]]


def simulated_in(factory: pytest.TempPathFactory, name: str, *settings: str) -> SmallWorld:
    folder = factory.mktemp(name)
    return simulated(str(folder / "store"), folder / "work", more=(*settings, *SHORT_PIGEON))


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A day of covers by both generators."""
    world = simulated_in(tmp_path_factory, "both", f"generator={BOTH}")
    assert set(world.whole_day(DAY, BOTH)) == set(day_in_order(BOTH))
    return world


@pytest.fixture(scope="module")
def stickers(tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A day of stickers by ICG."""
    world = simulated_in(tmp_path_factory, "stickers", "world.catalogue=stickers")
    world.whole_day(DAY)
    return world


def manifest_of(world: SmallWorld) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_partition(world.store, partitions.COVER_MANIFESTS, DAY).to_pylist()
    return rows


def require_pictures(world: SmallWorld, rows: list[dict[str, Any]]) -> None:
    """Every row's blob is an image of something."""
    assert len(rows) >= 8
    for row in rows:
        with Image.open(io.BytesIO(world.store.get(row["blob"]))) as image:
            assert image.size == (64, 64)
            assert np.asarray(image.convert("L")).std() > 5


def test_both_generators_publish_covers_as_variants_of_one_day(side_by_side: SmallWorld) -> None:
    rows = manifest_of(side_by_side)
    assert {(row["generator"], row["variant"]) for row in rows} == {("icg", 0), ("pigeon", 1)}
    for generator in BOTH.split(","):
        require_pictures(side_by_side, [row for row in rows if row["generator"] == generator])


def test_a_reader_gets_either_generators_cover_of_one_item(side_by_side: SmallWorld) -> None:
    users = read_partition(side_by_side.store, partitions.USER_SEGMENTS, DAY)
    row = next(row for row in manifest_of(side_by_side) if row["segment_id"] != "_all" and row["variant"] == 1)
    user = users.filter(pc.equal(users["segment_id"], row["segment_id"]))["user_id"][0].as_py()
    reader = CoverReader(side_by_side.store)
    first, second = (reader.cover(user, row["item_id"], hashed=True, variant=variant) for variant in (0, 1))
    assert first is not None
    assert second is not None
    assert second.cover_id == row["cover_id"] != first.cover_id


def test_a_day_of_stickers_goes_the_same_way(stickers: SmallWorld) -> None:
    titles = read_partition(stickers.store, partitions.ITEMS, DAY)["title"].to_pylist()
    assert all(any(phrase in title.lower() for phrase in PHRASES) for title in titles)
    require_pictures(stickers, manifest_of(stickers))


def test_evaluation_tells_no_truth_of_stickers(stickers: SmallWorld) -> None:
    """The oracle's eye was never shown a sticker: its values of generated ones are left out, not guessed."""
    table = stickers.store.get(f"reports/ds={DAY.isoformat()}/evaluation.json").decode()
    assert "true_click" not in table
    assert "preference" in table
