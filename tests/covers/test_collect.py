"""Retention, pins, grace and what is said about them: the plain cases, on a folder (interleavings: test_collect_model.py)."""

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing, SettingsError
from icg_tasks.covers import holds
from icg_tasks.covers.collect import collect
from icg_tasks.covers.command import covers_command
from icg_tasks.covers.holds import BeingCollected, Hold, place
from icg_tasks.covers.read import CoverReader
from icg_tasks.covers.roots import Retention
from icg_tasks.lake.partitions import list_partition_dates, manifest_key
from icg_tasks.lake.store import open_store
from tests.covers.small_days import FIRST, SmallDays

DAYS = [FIRST + timedelta(days=number) for number in range(4)]
HOUR = 3600.0


@pytest.fixture
def days(tmp_path: Path) -> SmallDays:
    """Four days, each with one picture of the day before and a new one; all of it two days old."""
    days = SmallDays.within(open_store(str(tmp_path / "store")), tmp_path / "work")
    for number in range(4):
        days.publish(number, [number, number + 1])
    for path in (tmp_path / "store").rglob("*.*"):
        os.utime(path, (time.time() - 48 * HOUR,) * 2)
    return days


def published(days: SmallDays) -> list[int]:
    return [DAYS.index(day) for day in list_partition_dates(days.store, keys.COVER_MANIFESTS)]


def blobs(days: SmallDays) -> int:
    return len(list(days.store.list(f"{keys.COVER_BLOBS}/")))


def test_what_is_beyond_retention_goes_with_all_that_only_it_named(days: SmallDays) -> None:
    retention = Retention(dates=2, grace_seconds=24 * HOUR)
    said = collect(days.store, retention, dry_run=True)
    assert (published(days), blobs(days)) == ([0, 1, 2, 3], 5)
    report = collect(days.store, retention)
    assert (said.retired, said.objects, said.bytes) == (report.retired, report.objects, report.bytes)
    assert (published(days), blobs(days)) == ([2, 3], 3)
    assert report.objects["blobs"] == 2
    assert report.kept == {DAYS[3].isoformat(): "current", DAYS[2].isoformat(): "one of the newest 2"}
    for prefix in (keys.COVER_INDEXES, keys.COVER_PLANS, keys.COVER_SHARDS):
        left = {keys.parse_partition_date(key) for key in days.store.list(f"{prefix}/")}
        assert left == set(DAYS[2:]), prefix
    reader = CoverReader(days.store)
    assert reader.image(reader.cover("0" * 32, "i0", hashed=True))
    assert collect(days.store, retention).objects.total() == 0


def test_pinned_held_and_live_dates_stay(days: SmallDays, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--set", f"store={days.store.uri}"]
    covers_command(["rollback", "--to", DAYS[1].isoformat(), *store])
    covers_command(["pin", "--date", DAYS[0].isoformat(), *store])
    assert json.loads(capsys.readouterr().out.split("}")[-2] + "}")["pinned"] == [DAYS[0].isoformat()]
    report = collect(days.store, Retention(dates=1, grace_seconds=0))
    assert report.retired == [DAYS[2].isoformat()]
    assert report.kept[DAYS[0].isoformat()] == "pinned"
    assert report.kept[DAYS[1].isoformat()] == "current"
    assert published(days) == [0, 1, 3]
    covers_command(["unpin", "--date", DAYS[0].isoformat(), *store])
    assert json.loads(capsys.readouterr().out) == {"was_pinned": True, "pinned": []}
    collect(days.store, Retention(dates=1, grace_seconds=0))
    assert published(days) == [1, 3]


def test_what_was_up_a_moment_ago_stays_for_its_readers(days: SmallDays) -> None:
    days.publish(3, [7, 8])  # published again: the former files of that day are named by history alone
    former = CoverReader(days.store)
    covers_command(["rollback", "--to", DAYS[0].isoformat(), "--set", f"store={days.store.uri}"])
    report = collect(days.store, Retention(dates=1, grace_seconds=HOUR))
    assert report.kept[DAYS[3].isoformat()] == "was up recently"
    assert former.day == DAYS[0]
    assert blobs(days) == 6, "day 0's two, day 3's former two and its new two"


def test_uploads_of_a_publisher_that_has_not_committed_are_left_alone(days: SmallDays) -> None:
    name = "ab" * 32
    days.store.put(keys.blob_key(name), b"just uploaded")
    collect(days.store, Retention(dates=9, grace_seconds=HOUR))
    assert days.store.exists(keys.blob_key(name))
    collect(days.store, Retention(dates=9, grace_seconds=0))
    assert not days.store.exists(keys.blob_key(name))


def test_a_publisher_sees_the_doom_and_leaves_off(days: SmallDays) -> None:
    blob = next(days.store.list(f"{keys.COVER_BLOBS}/"))
    doom = f"{keys.COVER_DOOMS}/dead.txt"
    days.store.put(doom, f"{blob}\n{manifest_key(keys.COVER_MANIFESTS, DAYS[0])}".encode())
    with pytest.raises(BeingCollected, match="icg covers collect"):
        place(days.store, Hold(name="publish-x", blobs=frozenset([blob])))
    with pytest.raises(BeingCollected):
        holds.pin(days.store, DAYS[0])
    with pytest.raises(BeingCollected):
        covers_command(["rollback", "--to", DAYS[0].isoformat(), "--set", f"store={days.store.uri}"])
    assert list(days.store.list(f"{keys.COVER_HOLDS}/")) == []
    os.utime(days.store.local_path(doom), (time.time() - 13 * HOUR,) * 2)
    collect(days.store, Retention(dates=9, grace_seconds=HOUR))
    place(days.store, Hold(name="publish-x", blobs=frozenset([blob])))


def test_roll_back_to_what_was_collected_is_refused_and_history_says_so(
    days: SmallDays, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--set", f"store={days.store.uri}"]
    settings = ["--set", "covers.retention_dates=1", "--set", "covers.collect_grace_hours=0"]
    covers_command(["collect", "--dry-run", *settings, *store])
    assert json.loads(capsys.readouterr().out)["dry_run"] is True
    assert published(days) == [0, 1, 2, 3]
    covers_command(["collect", *settings, *store])
    assert json.loads(capsys.readouterr().out)["retired"] == [day.isoformat() for day in DAYS[:3]]
    with pytest.raises(DataMissing, match="icg covers list"):
        covers_command(["rollback", "--to", DAYS[0].isoformat(), *store])
    with pytest.raises(DataMissing):
        covers_command(["pin", "--date", DAYS[0].isoformat(), *store])
    covers_command(["history", *store])
    rows = json.loads(capsys.readouterr().out)["history"]
    assert [(row["serial"], row["ds"], row["up"], row["published"]) for row in rows] == [
        (number + 1, DAYS[number].isoformat(), number == 3, number == 3) for number in range(4)
    ]


def test_settings_that_would_keep_nothing_are_refused(days: SmallDays) -> None:
    for retention in (Retention(dates=0, grace_seconds=1), Retention(dates=1, grace_seconds=-1)):
        with pytest.raises(SettingsError, match=r"covers\.retention_dates"):
            collect(days.store, retention)


def test_the_same_on_s3(moto_store_uri: str, tmp_path: Path) -> None:
    days = SmallDays.within(open_store(moto_store_uri), tmp_path / "work")
    for number in range(3):
        days.publish(number, [number, number + 1])
    recent = collect(days.store, Retention(dates=1, grace_seconds=HOUR))
    assert (recent.retired, recent.objects.total()) == ([], 0)
    time.sleep(1.1)  # S3 tells times in whole seconds
    report = collect(days.store, Retention(dates=1, grace_seconds=0))
    assert report.retired == [day.isoformat() for day in DAYS[:2]]
    assert (published(days), blobs(days)) == ([2], 2)
    reader = CoverReader(days.store, cache_folder=tmp_path / "cache")
    assert reader.image(reader.cover("0" * 32, "i1", hashed=True))
