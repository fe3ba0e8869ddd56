"""Rows in quarantine come in after a fix, once, and leave the day as if the fix had been there from the start."""

import shutil
from datetime import timedelta

import pytest

from icg_tasks.contracts.errors import DataMissing, GateRefused, SettingsError
from icg_tasks.intake import requeue, validate_impressions, validate_items
from icg_tasks.lake.partitions import find_partition, read_partition

STAGE = "validate-impressions"
WIDER = "intake.surfaces=home,search,similar,billboard"
ROOM = "intake.max_quarantined_share=0.2"


@pytest.fixture
def day(platform, window):
    """The run date validated, with rows held for four reasons."""
    shutil.copytree(window / "caught_up", platform.store.root)
    frame = platform.impression_frame()
    frame.loc[:9, "surface"] = "billboard"
    frame.loc[10:11, "position"] = 500
    frame.loc[12, "user_id"] = "  "
    frame.loc[20, "impression_id"] = frame.loc[3, "impression_id"]  # the twin of a held row is clean
    platform.put_impressions(frame)
    return platform.day


def stands(store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("") if key.startswith(("clean/", "quarantine/"))}


def test_rows_come_in_once_and_their_counts_add_up(context, platform, store, day):
    validate_impressions.run(context(STAGE, day, ROOM))
    before = find_partition(store, "clean/impressions", day)
    outcome = requeue.run(context("requeue", day, ROOM, WIDER))
    assert outcome.figures["let_in"] == {"unknown_surface": 9}
    after = find_partition(store, "clean/impressions", day)
    assert after.rows == before.rows + 9
    assert after.metadata["raw_rows"] == before.metadata["raw_rows"] == after.rows + sum(after.metadata["quarantined"].values())
    held = read_partition(store, "quarantine/impressions", day).to_pylist()
    assert [row["reason"] for row in held] == [
        "duplicate_of_earlier_day", "position_out_of_range", "position_out_of_range", "user_id_pattern",
    ]  # fmt: skip
    ids = read_partition(store, "clean/impressions", day)["impression_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    now = stands(store)
    assert requeue.run(context("requeue", day, ROOM, WIDER)).counts == {"let_in": 0}
    assert stands(store) == now


def test_the_day_is_as_if_the_fix_had_been_there_from_the_start(context, platform, store, day):
    frame = platform.impression_frame()
    frame.loc[:9, "surface"] = "billboard"
    frame.loc[12, "position"] = 70
    platform.put_impressions(frame)
    validate_impressions.run(context(STAGE, day, ROOM))
    requeue.run(context("requeue", day, ROOM, WIDER))
    let_in = stands(store)
    validate_impressions.run(context(STAGE, day, ROOM, WIDER))
    assert stands(store) == let_in


def test_one_rule_alone_and_rows_that_came_again_later(context, platform, store, day):
    validate_impressions.run(context(STAGE, day, ROOM))
    tomorrow = day + timedelta(days=1)
    frame = platform.impression_frame(tomorrow)
    sent_again = platform.impression_frame().loc[:4]
    frame.loc[:4] = sent_again.to_numpy()
    platform.put_impressions(frame, tomorrow)
    validate_impressions.run(context(STAGE, tomorrow))
    outcome = requeue.run(context("requeue", day, ROOM, WIDER, "intake.max_position=1000", rule="position_out_of_range"))
    assert outcome.figures["let_in"] == {"position_out_of_range": 2}
    outcome = requeue.run(context("requeue", day, ROOM, WIDER, "intake.max_position=1000"))
    assert outcome.figures["let_in"] == {"unknown_surface": 5}
    ids = [read_partition(store, "clean/impressions", each)["impression_id"].to_pylist() for each in (day, tomorrow)]
    assert len(set(ids[0] + ids[1])) == len(ids[0] + ids[1])


def test_what_is_held_is_told_with_an_example_and_what_to_do(context, platform, store, day, capsys):
    validate_impressions.run(context(STAGE, day, ROOM))
    outcome = requeue.run(context("requeue", day, list=True))
    told = outcome.figures["reasons"]
    assert told["unknown_surface"]["rows"] == 10
    assert "billboard" in told["unknown_surface"]["example"]
    assert not told["user_id_pattern"]["can_be_judged_again"]
    assert "validate the day again" in capsys.readouterr().err


def test_a_mended_image_lets_its_item_in_and_then_its_impressions(context, platform, store, day):
    whole = store.get("raw/images/covers/005.png")
    store.put("raw/images/covers/005.png", whole[:60])
    validate_items.run(context("validate-items", day))
    platform.put_impressions()
    first = validate_impressions.run(context(STAGE, day, ROOM))
    lost = first.figures["quarantined"]["item_in_quarantine"]
    store.put("raw/images/covers/005.png", whole)
    assert requeue.run(context("requeue", day, dataset="items")).figures["let_in"] == {"image_truncated": 1}
    assert requeue.run(context("requeue", day)).figures["let_in"] == {"item_in_quarantine": lost}
    assert read_partition(store, "clean/impressions", day).num_rows == 400


def test_what_makes_no_sense_is_refused(context, platform, store, day):
    with pytest.raises(SettingsError, match="expected one of impressions, items"):
        requeue.run(context("requeue", day, dataset="users"))
    with pytest.raises(SettingsError, match="unknown_surface"):
        requeue.run(context("requeue", day, rule="bad_luck"))
    with pytest.raises(DataMissing, match="validate-impressions"):
        requeue.run(context("requeue", day))


def test_rows_that_would_spoil_the_day_stay_where_they_are(context, platform, store, day):
    validate_impressions.run(context(STAGE, day, ROOM))
    before = stands(store)
    with pytest.raises(GateRefused, match="click rate"):
        requeue.run(context("requeue", day, ROOM, WIDER, "intake.max_click_rate=0.01", "intake.min_click_rate=0.001"))
    assert stands(store) == before
