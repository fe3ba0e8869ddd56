"""What a day will cost, and what is left out where that is too much: the least seen first, old covers stay."""

import json
from dataclasses import replace

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.covers import budget, plan, publish
from icg_tasks.covers.former import Former
from icg_tasks.lake.partitions import read_partition
from tests.covers.conftest import DAY, NEXT, House, fill_inputs


def planned(house: House, day=DAY, hours: float | None = None):
    return plan.run(house.context("plan-covers", day, max_gpu_hours=hours))


def published(house: House, day=DAY) -> None:
    house.fill_shards(day)
    publish.run(house.context("publish-covers", day))


def ran(house: House, day, made: int, seconds: float, **figures) -> None:
    line = {"counts": {"made": made}, "figures": {"seconds_per_cover": seconds, "candidates": 2, "steps": 8} | figures}
    line["figures"].setdefault("size_pixels", house.settings.covers.size_pixels)
    house.store.put(keys.stage_run_key("generate-covers", day, str(made)), json.dumps(line).encode())


def hours_for(covers: int) -> float:
    return (covers + 0.5) * 0.5 / 3600.0  # generation.seconds_per_cover is 0.5


def test_without_a_measurement_the_stated_price_holds(house: House) -> None:
    estimate = planned(house).figures["estimate"]
    assert (estimate["covers"], estimate["seconds_per_cover"], estimate["from"]) == (6, 0.5, "generation.seconds_per_cover")
    assert estimate["worker_hours"] == pytest.approx(6 * 0.5 / 3600.0, abs=1e-6)


def test_measured_prices_weigh_what_was_made_and_follow_the_settings(house: House) -> None:
    planned(house)
    ran(house, DAY, 3, 1.0)
    ran(house, DAY, 1, 3.0)
    ran(house, DAY, 50, 99.0, size_pixels=512)
    context = house.context("plan-covers", NEXT)
    assert budget.price(context, "icg") == budget.Price(seconds_per_cover=1.5, source=f"measured on {DAY}")
    house.set(candidates=4, steps=4)
    assert budget.price(house.context("plan-covers", NEXT), "icg").seconds_per_cover == 1.5
    house.set(steps=16)
    assert budget.price(house.context("plan-covers", NEXT), "icg").seconds_per_cover == 6.0
    assert (
        "stated" not in budget.price(house.context("plan-covers", DAY), "icg").source
    )  # its own runs would change what it plans
    assert budget.price(house.context("plan-covers", DAY), "icg").source == "generation.seconds_per_cover"


def test_each_generator_has_its_own_price(house: House) -> None:
    planned(house)
    ran(house, DAY, 3, 1.0, generator="icg")
    ran(house, DAY, 2, 7.0, generator="pigeon")
    ran(house, DAY, 1, 3.0)  # of a former release, which made covers with the main generator alone
    context = house.context("plan-covers", NEXT)
    assert budget.price(context, "icg").seconds_per_cover == 1.5
    assert budget.price(context, "pigeon").seconds_per_cover == 7.0


def test_a_budget_pays_each_generators_price_best_expected_clicks_first() -> None:
    rows = [
        {"segment_id": "s", "item_id": item, "variant": variant, "generator": name}
        for item in ("a", "b")
        for variant, name in enumerate(("icg", "pigeon"))
    ]
    prices = {
        "icg": budget.Price(seconds_per_cover=1.0, source="x"),
        "pigeon": budget.Price(seconds_per_cover=10.0, source="x"),
    }
    expected = {("s", "a"): 1.0, ("s", "b"): 2.0}
    for seconds, made in (
        (0.5, []),
        (10.9, ["b0"]),
        (11.0, ["b0", "b1"]),
        (12.0, ["b0", "b1", "a0"]),
        (22.0, ["b0", "b1", "a0", "a1"]),
    ):
        new, left = budget.within_budget(rows, Former(), expected, prices, seconds / 3600.0)
        assert [f"{row['item_id']}{row['variant']}" for row in new] == made
        assert len(new) + len(left) == 4
        assert {row["reason"] for row in left} <= {"over budget"}


def test_the_estimate_tells_how_long_it_takes_with_a_worker_for_each_shard(house: House) -> None:
    house.set(shard_size=2, batch_size=2, candidates=1)
    outcome = planned(house)
    assert outcome.counts["shards"] == 3
    assert outcome.figures["estimate"]["longest_shard_hours"] == pytest.approx(2 * 0.5 / 3600.0, abs=1e-6)


def test_days_that_made_nothing_are_passed_over(house: House) -> None:
    planned(house)
    ran(house, DAY, 4, 2.0)
    published(house)
    fill_inputs(house, NEXT)
    planned(house, NEXT)
    assert budget.price(house.context("plan-covers", NEXT.replace(day=12)), "icg").source == f"measured on {DAY}"


def test_best_expected_clicks_first_and_everybodys_cover_counts_for_all(house: House) -> None:
    outcome = planned(house, hours=hours_for(3))
    rows = house.plan()
    made = {(row["segment_id"], row["item_id"]) for row in rows if row["shard"] is not None}
    assert made == {("_all", "i2"), ("_all", "i0"), ("s0", "i2")}  # i2 is listed first, s0 has the most traffic
    left = [row for row in rows if row["reason"] == "over budget"]
    assert len(left) == 3
    assert all(row["kept_cover_id"] is None for row in left)
    assert (outcome.figures["estimate"]["left_out"], outcome.figures["estimate"]["left_without"]) == (3, 3)
    published(house)
    manifest = read_partition(house.store, keys.COVER_MANIFESTS, DAY).to_pylist()
    assert {(row["segment_id"], row["item_id"]) for row in manifest} == made


def test_left_out_pairs_keep_their_old_cover_and_are_made_when_there_is_room(house: House) -> None:
    planned(house)
    published(house)
    old = {row["request_hash"]: row["cover_id"] for row in read_partition(house.store, keys.COVER_MANIFESTS, DAY).to_pylist()}
    fill_inputs(house, NEXT)
    house.set(steps=9)
    planned(house, NEXT, hours=hours_for(2))
    left = [row for row in house.plan(NEXT) if row["reason"] == "over budget"]
    assert len(left) == 4
    assert all(old[row["request_hash"]] == row["kept_cover_id"] for row in left)
    published(house, NEXT)
    assert read_partition(house.store, keys.COVER_MANIFESTS, NEXT).num_rows == 6

    third = NEXT.replace(day=12)
    fill_inputs(house, third)
    outcome = planned(house, third)
    assert outcome.figures["reasons"] == {"kept": 2, "postponed": 4}


def test_the_setting_and_the_option(house: House) -> None:
    generation = replace(house.settings.generation, max_gpu_hours=hours_for(1))
    house.settings = replace(house.settings, generation=generation)
    assert planned(house).counts["new"] == 1
    assert planned(house, hours=0.0).counts["new"] == 6  # the option wins; 0 is no bound
    assert planned(house, hours=hours_for(4)).counts["new"] == 4


def test_a_price_of_nothing_is_refused(house: House) -> None:
    house.settings = replace(house.settings, generation=replace(house.settings.generation, seconds_per_cover=0.0))
    with pytest.raises(SettingsError, match=r"generation\.seconds_per_cover is 0\.0"):
        planned(house)
