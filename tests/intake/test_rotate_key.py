"""Changing the key: everybody moves whose raw id is still there, stragglers when they come back, and no raw id is kept."""

import shutil
from datetime import timedelta

import pyarrow as pa
import pytest

from icg_tasks.contracts import schemas
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.pseudonym import key_name, pseudonym
from icg_tasks.intake import rotate_key, validate_impressions
from icg_tasks.lake.partitions import find_partition, read_partition, write_partition
from tests.intake.scanning import keys_with

STAGE = "validate-impressions"
NEW = "another key of the tests, also long"


@pytest.fixture
def day(platform, window):
    shutil.copytree(window / "caught_up", platform.store.root)
    platform.put_impressions()
    yesterday = platform.day - timedelta(days=1)
    names = sorted(set(read_partition(platform.store, "clean/impressions", yesterday)["user_id"].to_pylist()))
    table = pa.table({"user_id": names, "segment_id": ["s1"] * len(names)})
    write_partition(platform.store, "features/user_segments", yesterday, [table], schema=schemas.USER_SEGMENTS)
    return platform.day


@pytest.fixture
def changing(monkeypatch, pseudonym_key):
    monkeypatch.setenv("ICG_PSEUDONYM_KEY", NEW)
    monkeypatch.setenv("ICG_PSEUDONYM_FORMER_KEY", pseudonym_key.decode())


def users(store, dataset, day) -> set[str]:
    return set(read_partition(store, dataset, day)["user_id"].to_pylist())


def test_everybody_moves_and_the_days_are_as_if_hashed_with_the_new_key(context, platform, store, day, changing, window):
    former = users(store, "clean/impressions", day - timedelta(days=1))
    outcome = rotate_key.run(context("rotate-key", day))
    everyone = {pseudonym(f"user-{number}", NEW.encode()) for number in range(60)}
    assert users(store, "clean/impressions", day - timedelta(days=1)) <= everyone
    names = read_partition(store, "features/user_segments", day - timedelta(days=1))["user_id"].to_pylist()
    assert set(names) <= everyone
    assert names == sorted(names)
    assert keys_with(store, sorted(former), "raw/") == []
    assert outcome.counts["days_with_former_key"] == 0
    again = rotate_key.run(context("rotate-key", day))
    assert again.counts["partitions"] == 0
    # the same days validated afresh under the new key
    moved = {key: store.get(key) for key in store.list("clean/impressions")}
    for key in list(moved):
        store.delete(key)
    validate_impressions.run(context(STAGE, day - timedelta(days=1)))
    assert {key: store.get(key) for key in store.list("clean/impressions")} == moved


def test_somebody_whose_raw_rows_are_gone_moves_when_they_come_back(context, platform, store, day, changing, pseudonym_key):
    for key in list(store.list("raw/impressions")):
        if str(day) not in key:
            store.delete(key)
    came_back = set(read_partition(store, "raw/impressions", day)["user_id"].to_pylist())
    stayed = users(store, "clean/impressions", day - timedelta(days=1))
    validate_impressions.run(context(STAGE, day))
    now = users(store, "clean/impressions", day - timedelta(days=1))
    old = {pseudonym(name, pseudonym_key): pseudonym(name, NEW.encode()) for name in came_back}
    assert now == {old.get(name, name) for name in stayed}
    assert users(store, "clean/impressions", day) == set(old.values())
    assert keys_with(store, ["user-1"], "raw/") == []


def test_another_key_without_the_former_one_is_refused_unless_accepted(context, platform, store, day, monkeypatch):
    monkeypatch.setenv("ICG_PSEUDONYM_KEY", NEW)
    with pytest.raises(SettingsError, match=r"another ICG_PSEUDONYM_KEY.*icg rotate-key.*accept_new_key"):
        validate_impressions.run(context(STAGE, day))
    with pytest.raises(SettingsError, match="no change of keys is under way"):
        rotate_key.run(context("rotate-key", day))
    validate_impressions.run(context(STAGE, day, "privacy.accept_new_key=true"))
    assert find_partition(store, "clean/impressions", day).metadata["key"] == key_name(NEW.encode())
