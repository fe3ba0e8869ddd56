"""Two publishers of one date at once: one wins, the other one says so, and what is up is whole. On a folder and on S3."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import IcgError
from icg_tasks.covers import commit, publish
from icg_tasks.covers.pointer import PublishConflict, current_pointer, history
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.lake.store import ObjectStore, open_store
from tests.covers.small_days import FIRST, SmallDays, _cover


@pytest.fixture(params=["folder", "moto", pytest.param("rgw", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    return open_store(request.getfixturevalue(f"{request.param}_store_uri"))


def shown(store: ObjectStore) -> list[str]:
    reader = CoverReader(store)
    covers = [reader.cover("0" * 32, f"i{number}", hashed=True) for number in range(2)]
    assert all(reader.image(cover) for cover in covers)
    return [cover.cover_id for cover in covers]


def names(*seeds: int) -> list[str]:
    return [_cover(seed)[0] for seed in seeds]


def meanwhile(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, other: Callable[[], None]) -> None:
    """Let another publisher do all of its work just before this one calls ``module.name``; once."""
    real = getattr(module, name)

    def slow(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(module, name, real)
        other()
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, slow)


@pytest.mark.parametrize("moment", ["commit_day", "examined"])
def test_who_writes_the_manifest_second_loses_and_says_so(store: ObjectStore, tmp_path: Path, monkeypatch, moment: str) -> None:
    first, second = (SmallDays.within(store, tmp_path / name) for name in ("a", "b"))
    meanwhile(monkeypatch, publish, moment, lambda: second.publish(0, [3, 4]))
    with pytest.raises(PublishConflict, match="another publisher of 2026-03-01 was first"):
        first.publish(0, [1, 2])
    assert shown(store) == names(3, 4)
    features = read_partition(store, keys.COVER_FEATURES, FIRST).to_pylist()
    assert {row["cover_id"] for row in features} == set(names(3, 4)), "the winner's features stand beside the winner's manifest"
    first.publish(0, [1, 2])
    assert shown(store) == names(1, 2)
    assert [pointer.serial for pointer in [*history(store), current_pointer(store)]] == [1, 2]


def test_who_is_overtaken_before_the_pointer_moves_leaves_it(store: ObjectStore, tmp_path: Path, monkeypatch) -> None:
    first, second = (SmallDays.within(store, tmp_path / name) for name in ("a", "b"))
    meanwhile(monkeypatch, publish, "put_up", lambda: second.publish(0, [3, 4]))
    with pytest.raises(PublishConflict, match="another publisher"):
        first.publish(0, [1, 2])
    assert shown(store) == names(3, 4)


def test_the_same_covers_published_by_two_are_no_conflict(store: ObjectStore, tmp_path: Path, monkeypatch) -> None:
    first, second = (SmallDays.within(store, tmp_path / name) for name in ("a", "b"))
    meanwhile(monkeypatch, publish, "commit_day", lambda: second.publish(0, [1, 2]))
    first.publish(0, [1, 2])
    assert shown(store) == names(1, 2)
    assert list(history(store)) == []
    assert list(store.list(f"{keys.COVER_HOLDS}/")) == []


def test_of_two_dates_the_later_stays_up_whoever_ends_last(store: ObjectStore, tmp_path: Path, monkeypatch) -> None:
    first, second = (SmallDays.within(store, tmp_path / name) for name in ("a", "b"))
    meanwhile(monkeypatch, publish, "put_up", lambda: second.publish(1, [3, 4]))
    first.publish(0, [1, 2])
    assert shown(store) == names(3, 4)
    assert find_partition(store, keys.COVER_MANIFESTS, FIRST) is not None


def test_a_publisher_that_took_a_day_gives_up(store: ObjectStore, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(commit, "PUBLISHER_SECONDS", -1.0)
    with pytest.raises(IcgError, match="took longer"):
        SmallDays.within(store, tmp_path).publish(0, [1, 2])
    assert current_pointer(store) is None
