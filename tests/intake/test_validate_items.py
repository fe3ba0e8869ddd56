"""validate-items on real files: what is published, what is not, and that the same inputs give the same bytes."""

import hashlib
import json
from datetime import timedelta

import pyarrow as pa
import pytest

from icg_tasks.contracts.errors import DataMissing, GateRefused
from icg_tasks.contracts.schemas import ITEMS, QUARANTINE
from icg_tasks.intake import validate_items
from icg_tasks.lake.partitions import find_partition, read_partition

STAGE = "validate-items"


@pytest.fixture
def day(platform):
    platform.put_images()
    return platform.day


def test_good_catalogue_is_published_with_hashes_of_its_content(context, platform, store, day):
    platform.put_items()
    outcome = validate_items.run(context(STAGE, day))
    clean = read_partition(store, "clean/items", day)
    assert clean.schema == ITEMS
    assert outcome.counts == {"raw_rows": 30, "clean_rows": 30, "quarantined_rows": 0, "caught_up_days": 0, "skipped_days": 0}
    row = clean.to_pylist()[7]
    assert row["reference_image"] == "raw/images/covers/007.png"
    assert row["image_sha256"] == hashlib.sha256(store.get(row["reference_image"])).hexdigest()
    assert len(set(clean.column("content_hash").to_pylist())) == 30
    assert read_partition(store, "quarantine/items", day).num_rows == 0


def test_truncated_image_costs_one_item_and_says_so(context, platform, store, day, capsys):
    platform.put_items()
    whole = store.get("raw/images/covers/004.png")
    store.put("raw/images/covers/004.png", whole[: len(whole) // 2])
    outcome = validate_items.run(context(STAGE, day))
    assert outcome.counts["clean_rows"] == 29
    rows = read_partition(store, "quarantine/items", day).to_pylist()
    assert [row["reason"] for row in rows] == ["image_truncated"]
    assert json.loads(rows[0]["row_json"])["item_id"] == "item-004"
    assert "item-004" not in read_partition(store, "clean/items", day).column("item_id").to_pylist()
    assert "covers/004.png: image_truncated" in capsys.readouterr().err


def test_bad_rows_go_to_quarantine_and_the_day_goes_on(context, platform, store, day):
    frame = platform.item_frame()
    frame.loc[0, "reference_image"] = "../../../etc/passwd"
    frame.loc[1, "reference_image"] = "covers/none.png"
    frame.loc[2, "language"] = "klingon!"
    platform.put_items(frame)
    outcome = validate_items.run(context(STAGE, day, "intake.max_quarantined_share=0.2"))
    assert outcome.figures["quarantined"] == {"image_missing": 1, "language_pattern": 1, "reference_image_unsafe": 1}
    quarantine = read_partition(store, "quarantine/items", day)
    assert quarantine.schema == QUARANTINE
    assert all(row["advice"] and row["detail"] for row in quarantine.to_pylist())
    assert find_partition(store, "clean/items", day).metadata["quarantined"] == outcome.figures["quarantined"]


def test_budget_spent_is_refused_and_nothing_is_published(context, platform, store, day):
    frame = platform.item_frame()
    frame.loc[:9, "title"] = ""
    platform.put_items(frame)
    with pytest.raises(GateRefused, match=r"10 of 30 rows \(33.3%\).*5.0%"):
        validate_items.run(context(STAGE, day))
    assert find_partition(store, "clean/items", day) is None
    assert read_partition(store, "quarantine/items", day).num_rows == 10
    assert store.exists(f"reports/data_docs/ds={day}/items/index.html")


@pytest.mark.parametrize("garbage", ["text", "columns", "empty"])
def test_day_of_garbage_is_refused(context, platform, store, day, garbage):
    if garbage == "text":
        store.put(f"raw/items/ds={day}/x.parquet", b"not a parquet file")
    elif garbage == "columns":
        platform.put_file("raw/items", "x.parquet", pa.table({"colour": ["red"] * 50}))
    else:
        platform.put_items(platform.item_frame().head(0))
    with pytest.raises(GateRefused, match="no usable row"):
        validate_items.run(context(STAGE, day))
    assert find_partition(store, "clean/items", day) is None
    assert store.exists(f"quarantine/items/ds={day}/_manifest.json")


def test_no_raw_data_is_not_a_refusal(context, day):
    with pytest.raises(DataMissing, match="raw/items"):
        validate_items.run(context(STAGE, day))


def test_shrunken_catalogue_is_refused_by_its_volume(context, platform, store, day):
    for back in (2, 1):
        platform.put_items(day=day - timedelta(days=back))
    platform.put_items(platform.item_frame().head(2), day)
    with pytest.raises(GateRefused, match="volume against the trailing week"):
        validate_items.run(context(STAGE, day, "intake.min_volume_ratio=0.9"))
    assert find_partition(store, "clean/items", day - timedelta(days=1)) is not None
    assert find_partition(store, "clean/items", day) is None


def test_same_inputs_same_bytes_and_only_changed_images_are_decoded(context, platform, store, day, noise):
    platform.put_items(day=day - timedelta(days=1))
    platform.put_items()
    first = validate_items.run(context(STAGE, day))
    assert first.counts["caught_up_days"] == 1
    assert (first.figures["caught_up"][0]["images_decoded"], first.figures["images_decoded"]) == (30, 0)
    keys = [key for key in store.list("") if key.startswith(("clean/", "quarantine/"))]
    before = {key: store.get(key) for key in keys}
    store.put("raw/images/covers/003.png", store.get("raw/images/covers/003.png"))
    again = validate_items.run(context(STAGE, day))
    assert {key: store.get(key) for key in keys} == before
    assert again.figures["images_decoded"] == 0
    store.put("raw/images/covers/003.png", noise(999))
    assert validate_items.run(context(STAGE, day)).figures["images_decoded"] == 1
    changed = read_partition(store, "clean/items", day)
    old = read_partition(store, "clean/items", day - timedelta(days=1))
    differing = [
        a["item_id"]
        for a, b in zip(changed.to_pylist(), old.to_pylist(), strict=True)
        if a["content_hash"] != b["content_hash"]
    ]
    assert differing == ["item-003"]
