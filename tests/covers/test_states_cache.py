"""States kept in the store: the same bits again, damage is a miss, and the store does not fill up."""

from pathlib import Path

import pytest
import torch

from icg_tasks.contracts.partitions import COVER_STATES
from icg_tasks.covers.states_cache import StatesCache, prune_states
from icg_tasks.lake.store import ObjectStore, open_store

SHAPE = (1, 2, 3)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path))


def never() -> torch.Tensor:
    raise AssertionError("read again")


def test_read_once_by_anybody_with_the_same_model(store: ObjectStore) -> None:
    made = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    assert torch.equal(StatesCache(store, "m").states("ab12", lambda: made, SHAPE), made)
    assert torch.equal(StatesCache(store, "m").states("ab12", never, SHAPE), made)
    for model, content in (("m", "ab13"), ("n", "ab12")):
        with pytest.raises(AssertionError, match="read again"):
            StatesCache(store, model).states(content, never, SHAPE)


@pytest.mark.parametrize("damage", ["truncated", "other shape", "not finite", "no file of ours"])
def test_damage_is_read_anew_and_written_over(store: ObjectStore, damage: str) -> None:
    cache, good = StatesCache(store, "m"), torch.ones(SHAPE)
    bad = torch.full(SHAPE, torch.nan) if damage == "not finite" else torch.ones(1, 2, 4)
    import safetensors.torch

    data = {
        "truncated": safetensors.torch.save({"states": good})[:-3],
        "no file of ours": b"\x80\x04K\x01.",
    }.get(damage, safetensors.torch.save({"states": bad}))
    store.put(f"{COVER_STATES}/m/ab/ab12.safetensors", data)
    assert torch.equal(cache.states("ab12", lambda: good, SHAPE), good)
    assert torch.equal(cache.states("ab12", never, SHAPE), good)


def test_what_is_not_finite_is_not_kept(store: ObjectStore) -> None:
    StatesCache(store, "m").states("ab12", lambda: torch.full(SHAPE, torch.inf), SHAPE)
    assert list(store.list(COVER_STATES)) == []


def test_the_oldest_go_first(store: ObjectStore, tmp_path: Path) -> None:
    import os

    cache = StatesCache(store, "m")
    for number in range(4):
        cache.states(f"a{number}", lambda: torch.ones(SHAPE), SHAPE)
        path = store.local_path(f"{COVER_STATES}/m/a{number}/a{number}.safetensors")
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    size = store.size(f"{COVER_STATES}/m/a0/a0.safetensors")
    assert prune_states(store, 10 * size) == 0
    assert prune_states(store, 2 * size) == 2
    assert [key[-14:] for key in store.list(COVER_STATES)] == ["a2.safetensors", "a3.safetensors"]
    assert prune_states(store, 0) == 2
