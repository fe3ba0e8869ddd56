"""Days published and rolled back while every fifth request goes wrong: the same bytes as in fair weather, no torn read."""

import random
import threading
from argparse import Namespace
from pathlib import Path

import pytest

from icg_tasks.contracts.errors import DataMissing, IcgError
from icg_tasks.contracts.partitions import COVER_HOLDS
from icg_tasks.covers.command import _rollback
from icg_tasks.covers.pointer import current_pointer
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.s3 import S3Store
from icg_tasks.lake.store import ObjectStore, open_store
from tests.covers.small_days import FIRST, USERS, SmallDays, _cover
from tests.faults.conftest import Behind
from tests.faults.proxy import Fault

PICTURES = {0: [1, 2, 3], 1: [1, 4, 5], 2: [6, 7, 8]}
SHARE = 0.2
WEATHER = [
    Fault(status=500, code="InternalError"),
    Fault(status=503, code="SlowDown"),
    Fault(reset=True),
    Fault(deaf=True),
    Fault(cut=True),
    Fault(flip=True),
]


def live(days: SmallDays) -> None:
    """Three days; each step is tried until it is done, as an orchestrator would."""
    for number, pictures in PICTURES.items():
        _until_done(lambda number=number, pictures=pictures: days.publish(number, pictures))
    for day in (1, 3):
        _until_done(lambda day=day: _rollback(days.store, days.settings, Namespace(to=FIRST.replace(day=day))))


def _until_done(work) -> None:
    said: list[str] = []
    for _ in range(20):
        try:
            return work()
        except IcgError as error:
            said.append(str(error))
    raise AssertionError(f"not done in twenty tries: {said}")


def contents(store: ObjectStore) -> dict[str, bytes]:
    """All but the holds of roll-backs that could not take theirs away: a collection ends those."""
    return {key: store.get(key) for key in store.list("") if not key.startswith(f"{COVER_HOLDS}/")}


def watch(store: ObjectStore, stop: threading.Event, torn: list[str], looks: list[int]) -> None:
    """What one look-up says is one published day, whole, images included."""
    reader = CoverReader(store, refresh_seconds=3600)
    allowed = {tuple(_cover(seed)[0] for seed in seeds) for seeds in PICTURES.values()}
    while not stop.is_set():
        try:
            reader.refresh()
            covers = [reader.cover(next(iter(USERS)), f"i{item}", hashed=True) for item in range(3)]
            if None in covers and reader.day is None:
                continue
            if tuple(cover and cover.cover_id for cover in covers) not in allowed or len({cover.day for cover in covers}) > 1:
                torn.append(f"one look-up said {covers}")
            looks.append(len([reader.image(cover) for cover in covers]))
        except DataMissing as error:
            torn.append(str(error))
        except IcgError:
            continue  # refused, which is no torn read


@pytest.mark.slow
def test_the_same_bytes_whatever_the_weather(behind: Behind, tmp_path: Path) -> None:
    calm = open_store(str(tmp_path / "calm"))
    live(SmallDays.within(calm, tmp_path))
    store = S3Store(behind.store.bucket, behind.plain.prefix, timeout_seconds=1.0, attempts=4)
    behind.proxy.storm = (random.Random(7), SHARE, WEATHER)
    torn, looks, stop = [], [], threading.Event()
    reading = threading.Thread(target=watch, args=(store, stop, torn, looks))
    reading.start()
    try:
        live(SmallDays.within(store, tmp_path))
    finally:
        stop.set()
        reading.join()
    assert not torn
    assert len(looks) > 3
    assert contents(behind.plain) == contents(calm)
    assert current_pointer(behind.plain).day == FIRST.replace(day=3)
    faults = [fault for _, _, fault in behind.proxy.log if fault is not None]
    assert len(faults) > 10, "the storm did not come"
