"""current.json under racing publishers, on a folder and on S3."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from icg_tasks.covers import plan, publish
from icg_tasks.covers.pointer import Pointer, current_pointer, move_current
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.store import open_store
from tests.covers.conftest import DAY, House


def pointer(days: int) -> Pointer:
    return Pointer(day=DAY + timedelta(days=days), manifest="m", sha256=str(days), covers=[], user_segments=[])


def test_of_many_racers_the_latest_date_is_up(house: House) -> None:
    order = [3, 0, 5, 1, 4, 2]
    with ThreadPoolExecutor(len(order)) as pool:
        list(pool.map(lambda days: move_current(house.store, pointer(days)), order))
    assert current_pointer(house.store).day == DAY + timedelta(days=5)


def test_moving_again_changes_nothing(house: House) -> None:
    assert move_current(house.store, pointer(1))
    assert move_current(house.store, pointer(1))
    assert not move_current(house.store, pointer(0))
    assert current_pointer(house.store).day == DAY + timedelta(days=1)


def test_the_same_on_s3(house: House, moto_store_uri: str) -> None:
    s3 = open_store(moto_store_uri)
    for key in house.store.list(""):
        s3.put(key, house.store.get(key))
    house.store = s3
    plan.run(house.context("plan-covers"))
    house.fill_shards()
    publish.run(house.context("publish-covers"))
    reader = CoverReader(s3)
    cover = reader.cover("ann", "i0")
    assert (cover.segment_id, cover.address.startswith(f"{moto_store_uri}/covers/v1/blobs/")) == ("s0", True)
    assert reader.image(cover)[:4] == b"RIFF"
    assert not move_current(s3, pointer(-1))
    assert move_current(s3, pointer(-1), backwards=True)
    assert current_pointer(s3).day == DAY - timedelta(days=1)
