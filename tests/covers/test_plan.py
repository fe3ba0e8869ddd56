"""Planning: what is planned, what is kept from yesterday, and how it is cut into shards."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing, SettingsError
from icg_tasks.covers import plan, publish
from icg_tasks.covers.shards import batch_order
from icg_tasks.lake.partitions import read_partition
from tests.covers.conftest import DAY, NEXT, House, checkpoint, fill_inputs


def planned(house: House, day=DAY):
    return plan.run(house.context("plan-covers", day))


def published(house: House, day=DAY) -> None:
    house.fill_shards(day)
    publish.run(house.context("publish-covers", day))


def test_plans_top_segments_items_and_the_unpersonalised_cover(house: House) -> None:
    outcome = planned(house)
    pairs = {(row["segment_id"], row["item_id"]) for row in house.plan()}
    # items_per_segment is 3: i2, i0 and "gone", which is in no catalogue
    assert pairs == {(segment, item) for segment in ("s0", "s1", "_all") for item in ("i0", "i2")}
    assert outcome.counts == {"planned": 6, "kept": 0, "new": 6, "shards": 2, "items_without_vector": 2}
    assert outcome.figures["shards"] == [0, 1]


def test_shards_hold_whole_batches_in_one_order_and_seeds_differ(house: House) -> None:
    house.set(variants=2, items_per_segment=5, shard_size=10)
    planned(house)
    rows = house.plan()
    assert len({row["seed"] for row in rows}) == len(rows) == 24
    ordered = sorted(rows, key=batch_order)
    assert [row["shard"] for row in ordered] == [0] * 12 + [1] * 12  # 8 images a batch, 2 a cover: 4 covers each
    house.set(shard_size=7)
    planned(house)
    assert Counter(row["shard"] for row in house.plan()) == {0: 8, 1: 8, 2: 8}
    house.set(shard_size=2)
    planned(house)
    assert Counter(row["shard"] for row in house.plan()) == dict.fromkeys(range(6), 4)  # never less than a batch


def test_the_same_date_planned_twice_gives_the_same_bytes(house: House) -> None:
    planned(house)
    first = {key: house.store.get(key) for key in house.store.list("covers/plan")}
    planned(house)
    assert first
    assert first == {key: house.store.get(key) for key in house.store.list("covers/plan")}


def test_unchanged_day_keeps_everything_and_still_publishes(house: House) -> None:
    planned(house)
    published(house)
    fill_inputs(house, NEXT)
    outcome = planned(house, NEXT)
    assert outcome.counts["kept"] == 6
    assert outcome.figures["shards"] == []
    publish.run(house.context("publish-covers", NEXT))
    former, now = (read_partition(house.store, keys.COVER_MANIFESTS, day).to_pylist() for day in (DAY, NEXT))
    assert former == now


@pytest.mark.parametrize(("turn", "kept"), [(0.1, 6), (0.3, 2)])
def test_small_drift_keeps_covers_large_drift_does_not(house: House, turn: float, kept: int) -> None:
    assert (1 - math.cos(0.1)) < house.settings.covers.segment_tolerance < (1 - math.cos(0.3))
    planned(house)
    published(house)
    fill_inputs(house, NEXT, turn=turn)
    assert planned(house, NEXT).counts["kept"] == kept


def test_drift_adds_up_against_the_vector_the_covers_were_made_for(house: House) -> None:
    planned(house)
    published(house)
    days = [NEXT, NEXT.replace(day=12), NEXT.replace(day=13)]
    kept = []
    for number, day in enumerate(days):
        fill_inputs(house, day, turn=0.1 * (number + 1))
        kept.append(planned(house, day).counts["kept"])
        published(house, day)
    assert kept == [6, 6, 2]  # 0.1, 0.2 (1 - cos = 0.0199) and 0.3 radians from the first day


def test_changed_item_changed_model_and_changed_setting_are_made_anew(house: House) -> None:
    planned(house)
    published(house)
    fill_inputs(house, NEXT, contents={"i0": "content-0", "i1": "content-1", "i2": "NEW", "i3": "content-3"})
    assert planned(house, NEXT).counts["kept"] == 3
    fill_inputs(house, NEXT)
    guidance = house.settings.covers.guidance
    house.set(guidance=guidance + 1)
    assert planned(house, NEXT).counts["kept"] == 0
    house.set(guidance=guidance)
    assert planned(house, NEXT).counts["kept"] == 6
    house.champion("adapter", NEXT, b"two")
    assert planned(house, NEXT).counts["kept"] == 0


def test_a_retrained_checkpoint_under_the_same_name_is_another_model(house: House) -> None:
    planned(house)
    published(house)
    fill_inputs(house, NEXT)
    checkpoint(Path(house.settings.backbones.language_model), b"trained again")
    assert planned(house, NEXT).counts["kept"] == 0


def test_a_fresh_centroid_is_used_when_nothing_can_be_kept_anyway(house: House) -> None:
    planned(house)
    published(house)
    fill_inputs(house, NEXT, turn=0.1)
    house.champion("adapter", NEXT, b"two")
    planned(house, NEXT)
    set_on = {row["set_on"] for row in read_partition(house.store, keys.COVER_PLAN_SEGMENTS, NEXT).to_pylist()}
    assert set_on == {NEXT.isoformat()}


def test_a_kept_cover_whose_image_is_gone_is_made_again(house: House) -> None:
    planned(house)
    lost = house.fill_shards()[0]
    publish.run(house.context("publish-covers"))
    house.store.delete(lost["blob"])
    fill_inputs(house, NEXT)
    outcome = planned(house, NEXT)
    assert (outcome.counts["kept"], outcome.counts["new"]) == (5, 1)


def test_later_manifests_are_not_looked_at(house: House) -> None:
    fill_inputs(house, NEXT)
    planned(house, NEXT)
    published(house, NEXT)
    assert planned(house, DAY).counts["kept"] == 0


def test_missing_models_and_impossible_settings_say_what_to_do(house: House) -> None:
    with pytest.raises(DataMissing, match="adapter"):
        planned(house, DAY.replace(day=9))
    house.set(candidates=9)
    with pytest.raises(SettingsError, match=r"covers\.batch_size"):
        planned(house)
    house.set(candidates=1)
    house.settings = replace(house.settings, features=replace(house.settings.features, num_top_segments=0))
    with pytest.raises(DataMissing, match="no top item"):
        planned(house)


def test_closing_lines_of_shards_that_are_no_more_are_forgotten(house: House) -> None:
    key = keys.stage_run_key("generate-covers", DAY, "99")
    house.store.put(key, b"{}")
    planned(house)
    assert not house.store.exists(key)
