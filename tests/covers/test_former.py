"""Why a pair is made or kept: every reason is told by the plan of a day on which just that changed."""

from collections import Counter
from pathlib import Path

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.covers import plan, publish
from tests.covers.conftest import DAY, NEXT, House, checkpoint, fill_inputs

CONTENTS = {f"i{number}": f"content-{number}" for number in range(4)}


@pytest.fixture
def yesterday(house: House) -> House:
    """A published day: segments s0, s1 and everybody with items i0 and i2; today's inputs are there, unchanged."""
    plan.run(house.context("plan-covers"))
    house.fill_shards()
    publish.run(house.context("publish-covers"))
    fill_inputs(house, NEXT)
    return house


def reasons(house: House) -> dict[str, int]:
    outcome = plan.run(house.context("plan-covers", NEXT))
    found = Counter(row["reason"] for row in house.plan(NEXT))
    assert outcome.figures["reasons"] == found
    return dict(found)


def test_a_first_day_is_all_new(house: House) -> None:
    plan.run(house.context("plan-covers"))
    assert {row["reason"] for row in house.plan()} == {"new"}
    assert {row["content_hash"] for row in house.plan()} == {"content-0", "content-2"}


def test_nothing_changed(yesterday: House) -> None:
    assert reasons(yesterday) == {"kept": 6}


def test_an_item_changed(yesterday: House) -> None:
    fill_inputs(yesterday, NEXT, contents=CONTENTS | {"i2": "NEW"})
    assert reasons(yesterday) == {"kept": 3, "item changed": 3}


def test_a_segment_moved(yesterday: House) -> None:
    fill_inputs(yesterday, NEXT, turn=0.3)
    assert reasons(yesterday) == {"kept": 2, "segment moved": 4}  # s1 is the other way round


def test_a_model_changed(yesterday: House) -> None:
    checkpoint(Path(yesterday.settings.backbones.denoiser), b"trained again")
    fill_inputs(yesterday, NEXT, turn=0.3)
    assert reasons(yesterday) == {"model changed": 6}  # whatever else changed


def test_a_setting_changed(yesterday: House) -> None:
    yesterday.set(steps=9)
    assert reasons(yesterday) == {"settings changed": 6}


def test_an_item_that_was_not_there_is_new(yesterday: House) -> None:
    yesterday.set(items_per_segment=4)
    assert reasons(yesterday) == {"kept": 6, "new": 3}


def test_an_image_that_is_gone(yesterday: House) -> None:
    blob = next(iter(yesterday.store.list(f"{keys.COVER_BLOBS}/")))
    yesterday.store.delete(blob)
    assert reasons(yesterday) == {"kept": 5, "image lost": 1}


def test_what_was_rejected_yesterday_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    make = house.made_row
    monkeypatch.setattr(
        House, "made_row", lambda self, row, day: make(row, day) | ({"rejected": "blank"} if row["segment_id"] == "s0" else {})
    )
    plan.run(house.context("plan-covers"))
    house.fill_shards()
    publish.run(house.context("publish-covers"))
    fill_inputs(house, NEXT)
    assert reasons(house) == {"kept": 4, "rejected before": 2}


def test_a_plan_of_a_former_release_says_that_something_changed(yesterday: House) -> None:
    table = plan.read_partition(yesterday.store, keys.COVER_PLANS, DAY).drop_columns(["content_hash", "reason"])
    plan.write_partition(yesterday.store, keys.COVER_PLANS, DAY, [table], schema=table.schema, metadata={})
    yesterday.set(steps=9)
    assert reasons(yesterday) == {"changed": 6}
