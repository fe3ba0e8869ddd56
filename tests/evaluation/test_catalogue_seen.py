"""The catalogue's covers for comparison: judged items are left out, damaged covers cost their place only."""

from collections.abc import Callable
from typing import Any

import pytest

from icg_tasks.config import load_settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.evaluation.catalogue_seen import see_catalogue
from icg_tasks.evaluation.metrics.tower import Tower
from icg_tasks.evaluation.towers import open_tower
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

Made = Callable[..., StageContext]


@pytest.fixture(scope="module")
def tower() -> Tower:
    return open_tower(load_settings("tiny"))


def test_judged_and_damaged_covers_are_left_out_and_few_are_none(
    context: Made, store: ObjectStore, lived_day: dict[str, Any], tower: Tower, capsys: pytest.CaptureFixture[str]
) -> None:
    items = lived_day["items"]
    store.put(f"{keys.IMAGES_RAW}/{items[0].image_name}", b"\x89PNG truncated")
    judged = {item.item_id for item in items[1:30]}
    seen = see_catalogue(context("evaluate"), tower, 64, judged)
    assert seen is not None
    assert len(seen.vectors_NE) == len(seen.patches_ND) == len(items) - 30 == seen.threshold.num_covers
    assert f"item {items[0].item_id}" in capsys.readouterr().err
    assert see_catalogue(context("evaluate"), tower, 64, {item.item_id for item in items[1:-1]}) is None


def test_towers_are_told_by_what_their_checkpoint_says(tower: Tower) -> None:
    assert (type(tower).__name__, tower.name) == ("ClassifierTower", "zoo:judge")
    encoder = open_tower(load_settings("tiny", ["evaluation.tower="]))
    assert (type(encoder).__name__, encoder.name) == ("EncoderTower", "zoo:dual_encoder")
    with pytest.raises(DataMissing, match="no 'nobody'"):
        open_tower(load_settings("tiny", ["evaluation.tower=zoo:nobody"]))
    assert load_settings("production").evaluation.tower == ""
