"""Model versions are immutable and named by content; a champion never moves backwards in run dates."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.lake import registry

DAYS = [date(2026, 3, day) for day in (8, 9, 10)]


def publish(store, content: bytes = b"weights"):
    return registry.publish_version(store, "adapter", {"model.safetensors": content, "config.json": b"{}"}, {"auc": 0.7})


def test_version_is_named_by_its_content(store):
    first, again, other = publish(store), publish(store), publish(store, b"others")
    assert first.version == again.version != other.version
    assert registry.load_version(store, "adapter", first.version).card == {"auc": 0.7}
    with pytest.raises(DataMissing):
        registry.load_version(store, "adapter", "0" * 16)


def test_fetched_version_is_checked_against_its_card(store, tmp_path):
    version = publish(store)
    folder = registry.fetch_version(store, version, tmp_path)
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    (folder / "model.safetensors").write_bytes(b"damaged on disk")
    assert (registry.fetch_version(store, version, tmp_path) / "model.safetensors").read_bytes() == b"weights"
    store.put(f"{version.prefix}/model.safetensors", b"damaged in the store")
    with pytest.raises(DataCorrupt, match=r"model\.safetensors"):
        registry.fetch_version(store, version, tmp_path / "elsewhere")


def test_champion_never_moves_backwards(store):
    old, new = publish(store, b"old"), publish(store, b"new")
    assert registry.set_champion(store, new, DAYS[2], reason="better")
    assert registry.set_champion(store, old, DAYS[0], reason="back-fill") is False
    assert json.loads(store.get("models/adapter/champion.json"))["version"] == new.version
    assert registry.champion_as_of(store, "adapter", DAYS[0]).version == old.version
    assert registry.champion_as_of(store, "adapter", DAYS[1]).version == old.version
    assert registry.champion_as_of(store, "adapter", DAYS[2]).version == new.version


def test_training_of_a_date_starts_from_an_earlier_champion(store):
    first, second = publish(store, b"1"), publish(store, b"2")
    assert registry.champion_as_of(store, "adapter", DAYS[0]) is None
    registry.set_champion(store, first, DAYS[0], reason="first")
    registry.set_champion(store, second, DAYS[1], reason="better")
    assert registry.champion_as_of(store, "adapter", DAYS[1], strictly_before=True).version == first.version
    assert registry.champion_as_of(store, "adapter", DAYS[0], strictly_before=True) is None
    with pytest.raises(DataMissing, match="train-adapter"):
        registry.require_champion(store, "adapter", date(2026, 3, 1))


def test_pointer_ends_at_the_latest_date_whatever_order_runs_end_in(store):
    versions = {date(2026, 3, day): publish(store, bytes([day])) for day in range(1, 9)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda day: registry.set_champion(store, versions[day], day, reason="race"), reversed(list(versions))))
    assert json.loads(store.get("models/adapter/champion.json"))["version"] == versions[date(2026, 3, 8)].version
