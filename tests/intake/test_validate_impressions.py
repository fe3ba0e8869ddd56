"""validate-impressions on real files: clean rows, quarantine, Data Docs, the gate, catching up, and no raw user id anywhere."""

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from icg_tasks.cli import main
from icg_tasks.contracts.errors import EXIT_REFUSED, EXIT_USAGE, DataMissing, GateRefused
from icg_tasks.contracts.pseudonym import pseudonym
from icg_tasks.contracts.schemas import IMPRESSIONS
from icg_tasks.intake import validate_impressions, validate_items
from icg_tasks.lake.partitions import find_partition, read_partition

STAGE = "validate-impressions"


@pytest.fixture
def fresh(platform, window):
    """Four days of clean catalogues, raw impressions of the first three."""
    shutil.copytree(window / "fresh", platform.store.root)
    return platform.day


@pytest.fixture
def day(platform, window):
    """The same, the first three days of impressions validated."""
    shutil.copytree(window / "caught_up", platform.store.root)
    return platform.day


def published(store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("") if key.startswith(("clean/", "quarantine/"))}


def test_first_run_catches_up_in_order_and_twice_gives_the_same_bytes(context, platform, store, fresh):
    day = fresh
    platform.put_impressions()
    outcome = validate_impressions.run(context(STAGE, day))
    assert outcome.counts["caught_up_days"] == 3
    assert [entry["day"] for entry in outcome.figures["caught_up"]] == [str(day - timedelta(days=back)) for back in (3, 2, 1)]
    before = published(store)
    again = validate_impressions.run(context(STAGE, day))
    assert again.counts["caught_up_days"] == 0
    assert published(store) == before
    clean = read_partition(store, "clean/impressions", day)
    assert clean.schema == IMPRESSIONS
    assert clean.num_rows == 400
    assert clean.column("shown_at").to_pylist() == sorted(clean.column("shown_at").to_pylist())
    assert find_partition(store, "clean/impressions", day).metadata["clicks"] == 80


def test_no_raw_user_id_leaves_this_stage(context, platform, store, day, pseudonym_key):
    frame = platform.impression_frame()
    frame.loc[:3, "surface"] = "billboard"
    frame["user_id"] = [f"secret-{index % 50}" for index in range(len(frame))]
    platform.put_impressions(frame)
    validate_impressions.run(context(STAGE, day))
    users = set(read_partition(store, "clean/impressions", day).column("user_id").to_pylist())
    assert users == {pseudonym(f"secret-{index}", pseudonym_key) for index in range(50)}
    for key in store.list(""):
        if not key.startswith("raw/"):
            assert b"secret-" not in store.get(key), key
    rows = [json.loads(text) for text in read_partition(store, "quarantine/impressions", day).column("row_json").to_pylist()]
    assert rows[0]["user_id"] == pseudonym("secret-0", pseudonym_key)


def test_late_rows_stay_with_their_own_time_and_bad_ones_go(context, platform, store, day):
    frame = platform.impression_frame()
    frame.loc[0, "shown_at"] = f"{day - timedelta(days=3)}T05:00:00Z"
    frame.loc[1, "shown_at"] = f"{day - timedelta(days=4)}T23:59:59Z"
    frame.loc[2, "shown_at"] = f"{day + timedelta(days=1)}T00:00:00Z"
    frame.loc[3, "propensity"] = 0.0
    frame.loc[5, "impression_id"] = frame.loc[4, "impression_id"]
    frame.loc[6, "impression_id"] = f"{day - timedelta(days=1)}-6"
    platform.put_impressions(frame)
    outcome = validate_impressions.run(context(STAGE, day))
    assert outcome.figures["late_rows"] == 1
    assert outcome.figures["quarantined"] == dict.fromkeys(
        ["duplicate_impression", "duplicate_of_earlier_day", "propensity_out_of_range", "shown_in_the_future", "too_late"], 1
    )
    clean = read_partition(store, "clean/impressions", day)
    assert clean.num_rows == 395
    assert str(clean.column("shown_at")[0].as_py().date()) == str(day - timedelta(days=3))


def test_item_in_quarantine_costs_its_own_rows_and_not_the_day(context, platform, store, day):
    store.put("raw/images/covers/005.png", store.get("raw/images/covers/005.png")[:60])
    validate_items.run(context("validate-items", day))
    frame = platform.impression_frame()
    frame.loc[:99, "item_id"] = "item-005"
    platform.put_impressions(frame)
    outcome = validate_impressions.run(context(STAGE, day))
    lost = int((frame["item_id"] == "item-005").sum())
    assert lost >= 100
    assert outcome.figures["quarantined"] == {"item_in_quarantine": lost}
    assert outcome.figures["quarantined_share"] == 0
    assert outcome.counts["clean_rows"] == 400 - lost


@pytest.mark.parametrize("garbage", ["text", "columns", "values", "types"])
def test_day_of_garbage_is_refused_with_exit_3_and_nothing_is_published(platform, store, day, garbage, capsys):
    if garbage == "text":
        store.put(f"raw/impressions/ds={day}/x.parquet", b"garbage" * 1000)
    elif garbage == "columns":
        platform.put_file("raw/impressions", "x.parquet", pa.table({"a": range(500), "b": ["x"] * 500}))
    elif garbage == "values":
        frame = platform.impression_frame()
        frame["item_id"] = "?"
        frame["position"] = -5
        platform.put_impressions(frame)
    else:
        table = pa.table({name: pa.array([[1.5]] * 300) for name in IMPRESSIONS.names})
        platform.put_file("raw/impressions", "x.parquet", table)
    code = main([STAGE, "--run-date", str(day), "--set", f"store={store.root}"])
    message = capsys.readouterr().err
    assert code == EXIT_REFUSED
    assert "no usable row" in message
    assert find_partition(store, "clean/impressions", day) is None
    assert find_partition(store, "clean/impressions", day - timedelta(days=1)) is not None
    assert read_partition(store, "quarantine/impressions", day).num_rows > 0
    assert store.exists(f"reports/data_docs/ds={day}/impressions/index.html")


def test_too_many_bad_rows_name_share_limit_reasons_and_place(context, platform, store, day):
    frame = platform.impression_frame()
    frame.loc[:39, "clicked"] = 7
    platform.put_impressions(frame)
    with pytest.raises(GateRefused) as caught:
        validate_impressions.run(context(STAGE, day))
    for part in (
        "40 of 400",
        "10.0%",
        "5.0%",
        "clicked_out_of_range",
        "quarantine/impressions",
        "intake.max_quarantined_share",
    ):
        assert part in str(caught.value)


def test_junk_file_beside_good_ones_is_named_and_the_day_goes_on(context, platform, store, day):
    platform.put_impressions()
    store.put(f"raw/impressions/ds={day}/extra.parquet", b"junk")
    outcome = validate_impressions.run(context(STAGE, day))
    assert outcome.figures["quarantined"] == {"file_unreadable": 1}
    assert outcome.counts["clean_rows"] == 400


@pytest.mark.parametrize(("change", "message"), [("few", "volume"), ("clicks", "click rate drift"), ("none", "click rate")])
def test_volume_and_click_rate_are_held_against_the_week(context, platform, store, day, change, message):
    frame = platform.impression_frame()
    if change == "few":
        frame = frame.head(40)
    else:
        frame["clicked"] = 0 if change == "none" else (np.arange(len(frame)) % 2 == 0).astype(int)
        frame["dwell_seconds"] = np.nan
    platform.put_impressions(frame)
    with pytest.raises(GateRefused, match=message):
        validate_impressions.run(context(STAGE, day))
    assert find_partition(store, "clean/impressions", day) is None


def test_half_the_allowed_drift_is_a_warning(context, platform, store, day):
    frame = platform.impression_frame(count=4000)
    frame["clicked"] = (np.arange(len(frame)) % 100 < 34).astype(int)
    frame["dwell_seconds"] = np.nan
    platform.put_impressions(frame)
    outcome = validate_impressions.run(context(STAGE, day, "intake.max_volume_ratio=20", "intake.max_click_rate_shift=0.6"))
    assert [text.partition(" against")[0] for text in outcome.figures["warnings"]] == ["click rate drift"]


def test_refused_earlier_day_is_skipped_and_named(context, platform, store, fresh):
    day = fresh
    bad = day - timedelta(days=2)
    frame = platform.impression_frame(bad)
    frame["surface"] = "billboard"
    platform.put_impressions(frame, bad)
    platform.put_impressions()
    outcome = validate_impressions.run(context(STAGE, day))
    assert outcome.counts["skipped_days"] == 1
    assert "unknown_surface" in outcome.figures["skipped"][str(bad)]
    assert find_partition(store, "clean/impressions", bad) is None
    assert find_partition(store, "clean/impressions", day) is not None


def test_nothing_later_than_the_run_date_is_touched(context, platform, store, fresh):
    day = fresh
    platform.put_impressions()
    earlier = day - timedelta(days=1)
    validate_impressions.run(context(STAGE, earlier))
    assert find_partition(store, "clean/impressions", day) is None


def test_a_day_that_comes_after_its_follower_counts_nothing_twice(context, platform, store, day):
    """Yesterday was never delivered; today brings half of its rows, then yesterday comes whole: each row lies on one day."""
    yesterday = day - timedelta(days=1)
    rows = platform.impression_frame(yesterday)
    for key in list(store.list(f"clean/impressions/ds={yesterday}")):
        store.delete(key)
    platform.put_impressions(pd.concat([platform.impression_frame(), rows[:200]]))
    validate_impressions.run(context(STAGE, day, "intake.catch_up_days=0"))
    ordinary = published(store)
    outcome = validate_impressions.run(context(STAGE, yesterday))
    assert outcome.figures["quarantined"] == {"duplicate_of_later_day": 200}
    ids = [read_partition(store, "clean/impressions", each)["impression_id"].to_pylist() for each in (yesterday, day)]
    assert [len(found) for found in ids] == [200, 600]
    assert len({*ids[0], *ids[1]}) == 800
    validate_impressions.run(context(STAGE, day))  # and again, in order: today's rows stay where they are
    assert {key: data for key, data in published(store).items() if f"ds={day}" in key} == {
        key: data for key, data in ordinary.items() if f"ds={day}" in key
    }


def test_without_a_catalogue_or_a_key_it_says_what_to_do(context, platform, store, monkeypatch, capsys):
    platform.put_impressions()
    with pytest.raises(DataMissing, match="icg validate-items"):
        validate_impressions.run(context(STAGE, platform.day))
    monkeypatch.delenv("ICG_PSEUDONYM_KEY")
    assert main([STAGE, "--run-date", str(platform.day), "--set", f"store={store.root}"]) == EXIT_USAGE
    assert "ICG_PSEUDONYM_KEY" in capsys.readouterr().err


def test_links_of_the_data_docs_lead_to_pages_on_disk(context, platform, store, day):
    platform.put_impressions()
    outcome = validate_impressions.run(context(STAGE, day))
    root = Path(store.address(outcome.figures["data_docs"])).parent
    pages = sorted(root.rglob("*.html"))
    assert len(pages) == 3
    links = 0
    for page in pages:
        for link in re.findall(r'(?:href|src)="([^"#:]+)(?:#[^"]*)?"', page.read_text()):
            if not link.startswith("//"):
                assert (page.parent / link).is_file(), f"{page}: {link}"
                links += 1
    assert links >= 6
    index = (root / "index.html").read_text()
    assert 'href="validations/' in index
    assert "referential: item in the catalogue" in (root / "expectations" / "impressions.html").read_text()
