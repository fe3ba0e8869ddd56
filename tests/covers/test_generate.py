"""Generating shards with real models: the same bytes however it is cut or stopped, and what a bad item costs."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, Interrupted
from icg_tasks.covers import finish, generate, plan, progress, publish
from icg_tasks.covers.drawing import IcgDrawer
from icg_tasks.covers.engine import CoverEngine
from icg_tasks.lake.partitions import read_partition
from tests.covers.conftest import DAY, House
from tests.covers.studio import _LOAD, build_studio, load_once

PATIENCE = 60.0


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    load_once(monkeypatch)
    house = build_studio(tmp_path)
    plan.run(house.context("plan-covers"))
    return house


def generated(house: House, shard: int) -> Any:
    return generate.run(house.context("generate-covers", shard=shard))


def published_bytes(house: House) -> dict[str, bytes]:
    """Everything that readers may see of the day."""
    publish.run(house.context("publish-covers"))
    return {key: house.store.get(key) for key in house.store.list("covers/v1/")}


def all_shards(house: House) -> list[int]:
    return sorted({row["shard"] for row in house.plan()})


def forget_covers(house: House) -> None:
    for prefix in ("covers/shards/", "covers/v1/", "covers/plans/", "features/covers/"):
        for key in list(house.store.list(prefix)):
            house.store.delete(key)


def test_same_bytes_for_any_sharding_and_after_a_stop_in_the_middle(studio: House) -> None:
    assert all_shards(studio) == [0, 1, 2]
    for shard in all_shards(studio):
        generated(studio, shard)
    first = published_bytes(studio)
    assert sum(key.startswith("covers/v1/blobs/") for key in first) == 12

    forget_covers(studio)
    studio.set(shard_size=100)
    plan.run(studio.context("plan-covers"))
    assert all_shards(studio) == [0]
    context = studio.context("generate-covers", shard=0)
    context.stop.raised = True
    with pytest.raises(Interrupted, match="4 of 12 covers are saved"):
        generate.run(context)
    with pytest.raises(DataMissing, match="--shard 0"):
        publish.run(studio.context("publish-covers"))
    outcome = generated(studio, 0)
    assert (outcome.counts["made"], outcome.counts["saved_before"]) == (8, 4)
    assert published_bytes(studio) == first


def test_reading_and_drawing_go_on_while_files_are_uploaded(studio: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch's upload ends only when the third batch has been begun: one after the other it never would."""
    studio.set(shard_size=100)
    plan.run(studio.context("plan-covers"))
    third, begun, held = threading.Event(), [], []
    draw, wait = IcgDrawer.draw, finish.Uploads.wait

    def counted(self: IcgDrawer, *words: Any) -> Any:
        begun.append(words)
        if len(begun) == 3:
            third.set()
        return draw(self, *words)

    def slow(self: finish.Uploads) -> None:
        if not held:
            held.append(third.wait(PATIENCE))
        wait(self)

    monkeypatch.setattr(IcgDrawer, "draw", counted)
    monkeypatch.setattr(finish.Uploads, "wait", slow)
    assert generated(studio, 0).counts["made"] == 12
    assert held == [True]
    assert len(begun) == 3


def test_a_crash_costs_only_what_was_not_saved(studio: House, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.set(shard_size=100)
    plan.run(studio.context("plan-covers"))
    monkeypatch.setattr(progress, "_SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(finish, "encode_webp", _fails_after(5))
    with pytest.raises(MemoryError):
        generated(studio, 0)
    monkeypatch.undo()
    load_once(monkeypatch)
    assert generated(studio, 0).counts["saved_before"] == 4  # the batch that was whole
    assert not [key for key in studio.store.list("covers/shards/") if "_progress" in key]


def _fails_after(calls: int) -> Any:
    made = []
    encode = finish.encode_webp

    def encode_or_fail(*arguments: Any) -> bytes:
        made.append(1)
        if len(made) > calls:
            raise MemoryError
        return encode(*arguments)

    return encode_or_fail


def test_a_finished_shard_is_not_made_again_unless_a_blob_is_damaged(studio: House, monkeypatch: pytest.MonkeyPatch) -> None:
    generated(studio, 0)
    first = {key: studio.store.get(key) for key in studio.store.list("covers/")}
    with monkeypatch.context() as patch:
        patch.setattr(CoverEngine, "load", None)
        assert generated(studio, 0).counts["made"] == 0
    blob = next(key for key in first if key.startswith("covers/v1/blobs/"))
    studio.store.put(blob, b"damaged")
    assert generated(studio, 0).counts["made"] == 4
    assert first == {key: studio.store.get(key) for key in studio.store.list("covers/")}


@pytest.mark.parametrize("damage", ["truncated", "replaced", "gone"])
def test_a_bad_own_cover_costs_that_item_only(studio: House, damage: str) -> None:
    studio.set(shard_size=100)
    plan.run(studio.context("plan-covers"))
    key = "raw/images/i1.png"
    whole = studio.store.get(key)
    studio.store.delete(key)
    if damage != "gone":
        studio.store.put(key, whole[: len(whole) // 2] if damage == "truncated" else whole + b"x")
    outcome = generated(studio, 0)
    assert outcome.counts["covers"] == 9
    assert outcome.figures["rejected"] == {generate.UNREADABLE: 3}
    assert outcome.figures["rejected_items"] == ["i1"]
    publish.run(studio.context("publish-covers"))
    assert set(read_partition(studio.store, keys.COVER_MANIFESTS, DAY)["item_id"].to_pylist()) == {"i0", "i2", "i3"}


def test_what_the_rows_say(studio: House) -> None:
    outcome = generated(studio, 0)
    rows = read_partition(studio.store, "covers/shards/shard=000", DAY).to_pylist()
    assert {row["segment_id"] for row in rows} == {"_all", "s0", "s1"}
    assert len({row["cover_id"] for row in rows}) == 4
    for row in rows:
        assert (row["width"], row["height"], row["made_on"]) == (64, 64, DAY.isoformat())
        assert abs(sum(value * value for value in row["vector"]) - 1) < 1e-4
        assert None not in (row["preference"], row["relevance"], row["aesthetic"])
    assert outcome.figures["seconds_per_cover"] > 0
    assert (outcome.figures["candidates"], outcome.figures["steps"], outcome.figures["size_pixels"]) == (2, 2, 64)
    json.dumps([outcome.counts, outcome.figures], allow_nan=False)


def test_models_that_changed_after_planning_are_refused(studio: House) -> None:
    adapter = json.loads(studio.store.get(f"models/adapter/champions/ds={DAY}.json"))["version"]
    files = {
        name: studio.store.get(f"models/adapter/versions/{adapter}/{name}") for name in ("adapter.safetensors", "config.json")
    }
    from icg_tasks.lake.registry import publish_version, set_champion

    set_champion(studio.store, publish_version(studio.store, "adapter", files, {"note": "other"}), DAY, reason="test")
    with pytest.raises(DataCorrupt, match="plan-covers again"):
        generated(studio, 0)


def test_an_unknown_shard_says_which_there_are(studio: House) -> None:
    with pytest.raises(DataMissing, match=r"no shard 9; it has 3: \[0, 1, 2\]"):
        generated(studio, 9)


def test_states_are_read_once_and_give_the_same_covers(studio: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from icg_tasks.models.icg.generator import IcgGenerator

    read: list[str] = []
    original = IcgGenerator.item_states
    monkeypatch.setattr(
        IcgGenerator, "item_states", lambda self, images, titles: read.extend(titles) or original(self, images, titles)
    )
    monkeypatch.setattr(CoverEngine, "load", classmethod(_LOAD))  # engines of their own, as every worker has
    for shard in all_shards(studio):
        generated(studio, shard)
    assert len(read) == 4  # items, though two of them are cut by shards
    first = {key: studio.store.get(key) for key in studio.store.list("covers/shards/")}
    for key in list(first):
        studio.store.delete(key)
    generated(studio, 1)
    assert len(read) == 4
    assert {key: studio.store.get(key) for key in studio.store.list("covers/shards/")}.items() <= first.items()
