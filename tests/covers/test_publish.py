"""Publishing: all or nothing, only forward, the same bytes twice."""

import json
from typing import Any

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, GateRefused
from icg_tasks.covers import plan, publish
from icg_tasks.covers.command import covers_command
from icg_tasks.covers.pointer import current_pointer
from icg_tasks.covers.shards import write_shard
from icg_tasks.lake.partitions import find_partition, read_partition
from tests.covers.conftest import DAY, NEXT, House, fill_inputs


@pytest.fixture
def planned(house: House) -> House:
    plan.run(house.context("plan-covers"))
    return house


def published(house: House, day=DAY):
    return publish.run(house.context("publish-covers", day))


def nothing_published(house: House, day=DAY) -> bool:
    return find_partition(house.store, keys.COVER_MANIFESTS, day) is None and not house.store.exists(keys.COVERS_CURRENT)


def test_manifest_features_and_pointer(planned: House) -> None:
    rows = planned.fill_shards()
    outcome = published(planned)
    assert outcome.counts == {"published": 6, "personalised": 4, "made": 6, "kept": 0, "rejected": 0}
    manifest = read_partition(planned.store, keys.COVER_MANIFESTS, DAY).to_pylist()
    assert {row["cover_id"] for row in manifest} == {row["cover_id"] for row in rows}
    assert {row["cover_id"] for row in read_partition(planned.store, keys.COVER_FEATURES, DAY).to_pylist()} == {
        row["cover_id"] for row in rows
    }
    assert current_pointer(planned.store).day == DAY


def test_the_same_date_published_twice_gives_the_same_bytes(planned: House) -> None:
    planned.fill_shards()
    published(planned)
    first = {key: planned.store.get(key) for key in planned.store.list("covers/")}
    published(planned)
    assert first == {key: planned.store.get(key) for key in planned.store.list("covers/")}


def test_a_missing_shard_is_named(planned: House) -> None:
    planned.fill_shards()
    planned.store.delete(f"covers/shards/shard=001/ds={DAY}/_manifest.json")
    with pytest.raises(DataMissing, match=r"--shard 1"):
        published(planned)
    assert nothing_published(planned)


def test_a_shard_made_for_another_plan_is_refused(planned: House) -> None:
    planned.fill_shards()
    planned.set(steps=3)
    plan.run(planned.context("plan-covers"))
    with pytest.raises(DataMissing, match="another plan"):
        published(planned)


@pytest.mark.parametrize("damage", [None, b"", b"garbage", b"RIFF"])
def test_a_missing_or_corrupt_blob_stops_everything(planned: House, damage: bytes | None) -> None:
    row = planned.fill_shards()[0]
    planned.store.delete(row["blob"])
    if damage is not None:
        planned.store.put(row["blob"], damage)
    with pytest.raises(DataCorrupt, match=row["cover_id"]):
        published(planned)
    assert nothing_published(planned)


def test_a_blob_of_another_size_than_its_row_says_is_refused(planned: House) -> None:
    rows = [row for row in planned.plan() if row["shard"] is not None]
    planned.fill_shards()
    first = [row for row in rows if row["shard"] == 0]
    made: list[dict[str, Any]] = [planned.made_row(row, DAY) | {"width": 31} for row in first]
    write_shard(planned.store, DAY, 0, made, first)
    with pytest.raises(DataCorrupt, match="32 x 32 pixels, expected 31 x 32"):
        published(planned)


def test_rejected_covers_stay_out_and_too_many_refuse_the_day(planned: House) -> None:
    planned.fill_shards()
    first = [row for row in planned.plan() if row["shard"] == 0]
    made = [planned.made_row(row, DAY) for row in first]
    made[0] |= {"rejected": "blank", "cover_id": None, "blob": None}
    write_shard(planned.store, DAY, 0, made, first)
    outcome = published(planned)
    assert (outcome.counts["published"], outcome.figures["rejected"]) == (5, {"blank": 1})
    planned.set(max_rejected_share=0.1)
    with pytest.raises(GateRefused, match="blank 1"):
        published(planned)


def test_a_back_filled_date_leaves_current_alone(house: House) -> None:
    fill_inputs(house, NEXT)
    for day in (NEXT, DAY):
        plan.run(house.context("plan-covers", day))
        house.fill_shards(day)
        outcome = published(house, day)
    assert outcome.figures["current"] is False
    assert keys.COVERS_CURRENT not in outcome.outputs
    assert current_pointer(house.store).day == NEXT
    house.set(move_current_backwards=True)
    published(house, DAY)
    assert current_pointer(house.store).day == DAY


def test_yesterday_stays_up_when_today_fails(planned: House) -> None:
    planned.fill_shards()
    published(planned)
    before = planned.store.get(keys.COVERS_CURRENT)
    fill_inputs(planned, NEXT, turn=1.0)
    plan.run(planned.context("plan-covers", NEXT))
    with pytest.raises(DataMissing):
        published(planned, NEXT)
    assert planned.store.get(keys.COVERS_CURRENT) == before


def test_a_garbage_pointer_gives_way_to_a_good_one(planned: House) -> None:
    planned.store.put(keys.COVERS_CURRENT, b"{not json")
    planned.fill_shards()
    assert published(planned).figures["current"] is True
    assert current_pointer(planned.store).day == DAY


def test_a_kept_cover_that_is_damaged_stops_the_day_and_heals_when_deleted(planned: House) -> None:
    row = planned.fill_shards()[0]
    published(planned)
    fill_inputs(planned, NEXT)
    planned.store.put(row["blob"], b"damaged")
    plan.run(planned.context("plan-covers", NEXT))
    with pytest.raises(DataCorrupt, match="Delete those objects"):
        published(planned, NEXT)
    planned.store.delete(row["blob"])
    plan.run(planned.context("plan-covers", NEXT))
    planned.fill_shards(NEXT)
    assert published(planned, NEXT).counts["published"] == 6


def test_list_and_rollback(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    for day in (DAY, NEXT):
        fill_inputs(house, day)
        plan.run(house.context("plan-covers", day))
        house.fill_shards(day)
        published(house, day)
    store = ["--set", f"store={house.store.uri}"]
    assert covers_command(["rollback", "--to", DAY.isoformat(), *store]) == 0
    assert json.loads(capsys.readouterr().out) == {"was": NEXT.isoformat(), "current": DAY.isoformat(), "covers": 6}
    assert covers_command(["list", *store]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["current"] == DAY.isoformat()
    assert [entry["ds"] for entry in listed["published"]] == [DAY.isoformat(), NEXT.isoformat()]
    with pytest.raises(DataMissing, match="no covers were published"):
        covers_command(["rollback", "--to", "2026-01-01", *store])
