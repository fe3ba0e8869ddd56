"""Look-alikes of other items stay out; the same item may repeat itself; the cost follows the covers."""

import numpy as np
import pytest
from PIL import Image

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import GateRefused
from icg_tasks.covers.checks import Fingerprint, fingerprint
from icg_tasks.covers.likeness import MAX_BITS, difference, near_duplicates
from icg_tasks.lake.partitions import read_partition
from icg_tasks.lake.store import open_store
from tests.covers.conftest import picture
from tests.covers.small_days import FIRST, SmallDays


def seen(image: np.ndarray) -> Fingerprint:
    return fingerprint(Image.fromarray(image))


def row(item: str, cover: str, made_on: str = "2026-03-10") -> dict[str, str]:
    return {"item_id": item, "cover_id": cover, "made_on": made_on}


def noisy(image: np.ndarray) -> np.ndarray:
    return np.clip(image.astype(np.int16) + np.random.default_rng(0).integers(-6, 7, image.shape), 0, 255).astype(np.uint8)


def test_a_copy_with_noise_repeats_and_another_picture_does_not() -> None:
    first, copy, other = seen(picture(1, 64)), seen(noisy(picture(1, 64))), seen(picture(2, 64))
    assert difference(first, copy) < 1.0
    assert difference(first, other) > 20.0
    looks = {"a": first, "b": copy, "c": other}
    rows = [row("i0", "a"), row("i1", "b"), row("i2", "c")]
    assert near_duplicates(rows, looks, 1.0) == {("i1", "b"): ("i0", "a")}
    assert near_duplicates([row("i0", "a"), row("i0", "b"), row("i2", "c")], looks, 1.0) == {}, "one item may repeat itself"


def test_who_was_made_first_stays_whatever_the_order_of_rows() -> None:
    looks = {name: seen(picture(1, 64)) for name in "abc"}
    rows = [row("i2", "a"), row("i1", "b", "2026-03-09"), row("i3", "c")]
    assert near_duplicates(rows, looks, 1.0) == near_duplicates(rows[::-1], looks, 1.0)
    assert near_duplicates(rows, looks, 1.0) == {("i2", "a"): ("i1", "b"), ("i3", "c"): ("i1", "b")}


def test_every_pair_within_the_bits_is_compared() -> None:
    random = np.random.default_rng(0)
    small = bytes(192)
    for _ in range(50):
        bits = int.from_bytes(random.bytes(8), "big")
        flips = sum(1 << int(place) for place in random.choice(64, MAX_BITS, replace=False))
        looks = {"a": Fingerprint(bits=bits, small=small), "b": Fingerprint(bits=bits ^ flips, small=small)}
        found = near_duplicates([row("i0", "a"), row("i1", "b")], looks, 1.0)
        assert found == {("i1", "b"): ("i0", "a")}


def test_publishing_leaves_a_look_alike_out_and_counts_it(tmp_path, capsys) -> None:
    days = SmallDays.within(open_store(str(tmp_path / "store")), tmp_path / "work")
    with pytest.raises(GateRefused, match="near_duplicate 2"):
        days.publish(0, [1, 1, 1])  # two thirds of the day: too many
    days.publish(0, [1, 2, 1, 3])
    rows = read_partition(days.store, keys.COVER_MANIFESTS, FIRST).to_pylist()
    assert [one["item_id"] for one in rows] == ["i0", "i1", "i3"]
    assert "a cover of i" in capsys.readouterr().err
