"""Keys: partitions by date, content-addressed blobs, nothing that could leave a store's root."""

from datetime import date

import pytest

from icg_tasks.contracts import partitions
from icg_tasks.contracts.errors import DataCorrupt

DAY = date(2026, 3, 10)


def test_partition_prefix_and_date_are_each_others_inverse():
    key = f"{partitions.partition_prefix(partitions.ITEMS, DAY)}/_manifest.json"
    assert partitions.parse_partition_date(key) == DAY
    assert partitions.parse_partition_date("clean/items/_manifest.json") is None
    assert partitions.parse_partition_date("clean/items/ds=20260310/x") is None


@pytest.mark.parametrize("key", ["a", "a/b.c", "raw/items/ds=2026-03-10/_manifest.json", "models/x/versions/0f/a-b+c@d=e.f"])
def test_plain_keys_are_safe(key):
    assert partitions.checked_key(key) == key


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "..", "a/../b", "a/.hidden", "a b", "a\\b", "a\x00b", "a/\u2025", "a" * 513]
)
def test_keys_that_might_escape_or_surprise_are_refused(key):
    with pytest.raises(DataCorrupt, match="unsafe object key"):
        partitions.checked_key(key)


def test_every_data_set_lives_in_a_place_of_its_own():
    names = {
        name: value for name, value in vars(partitions).items() if name.isupper() and isinstance(value, str) and "/" in value
    }
    assert len(names) > 15
    assert len(set(names.values())) == len(names)
    for value in names.values():
        assert partitions.checked_key(value) == value


def test_blobs_fan_out_by_their_hash():
    assert partitions.blob_key("ab" + "0" * 62) == "covers/v1/blobs/ab/ab" + "0" * 62 + ".webp"
    assert partitions.stage_run_key("generate-covers", DAY, "3") == "runs/ds=2026-03-10/generate-covers-3.json"
