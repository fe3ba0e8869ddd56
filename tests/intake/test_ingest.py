"""icg ingest writes raw data sets that validation accepts, once per store."""

from datetime import timedelta

import pandas as pd
import pytest
from PIL import Image

from icg_tasks.contracts.errors import IcgError, SettingsError
from icg_tasks.intake import ingest, validate_impressions, validate_items
from icg_tasks.lake.partitions import find_partition, list_partition_dates, read_partition

SMALL = ("features.window_days=2", "intake.surfaces=home")


@pytest.fixture
def folder(tmp_path):
    """Twelve works, forty readers whose history is complete."""
    target = tmp_path / "classics"
    (target / "covers").mkdir(parents=True)
    works = range(1, 13)
    for work in works:
        Image.new("RGB", (24, 36), (work * 20, 90, 40)).save(target / "covers" / f"{work}.jpg")
    pd.DataFrame(
        {
            "item_id": works,
            "title": [f"Book {work}" for work in works],
            "genres": "Fiction",
            "language": "en-GB",
            "cover_path": [f"covers/{work}.jpg" for work in works],
            "rated_by_all_users_known": False,
        }
    ).to_parquet(target / "items.parquet")
    rows = [(user, 1 + (user + step) % 12, step, "complete") for user in range(40) for step in range(3)]
    pd.DataFrame(rows, columns=["user_id", "item_id", "order", "history"]).to_parquet(target / "interactions.parquet")
    return target


def test_window_is_ingested_validated_and_says_where_it_comes_from(context, platform, store, folder, capsys):
    day = platform.day
    outcome = ingest.run(context("ingest", day, *SMALL, source="classics", path=str(folder)))
    assert "CC BY-SA 4.0" in capsys.readouterr().err
    assert outcome.counts["images"] == 12
    assert outcome.counts["clicks"] == 120
    days = [day - timedelta(days=back) for back in (1, 0)]
    assert list_partition_dates(store, "raw/impressions") == days
    validate_items.run(context("validate-items", day, *SMALL))
    validated = validate_impressions.run(context("validate-impressions", day, *SMALL))
    assert validated.figures["skipped"] == {}
    assert validated.figures["quarantined"] == {}
    clean = [read_partition(store, "clean/impressions", each) for each in days]
    assert sum(table.num_rows for table in clean) == 120 + outcome.counts["non_clicks"]
    metadata = find_partition(store, "clean/impressions", day).metadata
    assert metadata["provenance"]["source"] == "classics"
    assert metadata["provenance"]["non_clicks_per_click"] == 4


def test_twice_is_the_same_and_another_window_is_refused(context, platform, store, folder):
    day = platform.day
    ingest.run(context("ingest", day, *SMALL, source="classics", path=str(folder)))
    before = {key: store.get(key) for key in store.list("")}
    ingest.run(context("ingest", day, *SMALL, source="classics", path=str(folder)))
    assert {key: store.get(key) for key in store.list("")} == before
    with pytest.raises(IcgError, match="fresh store"):
        ingest.run(context("ingest", day + timedelta(days=1), *SMALL, source="classics", path=str(folder)))
    assert {key: store.get(key) for key in store.list("")} == before


def test_store_of_a_platform_is_not_mixed_with_outside_data(context, platform, store, folder):
    platform.put_impressions()
    with pytest.raises(IcgError, match="other data"):
        ingest.run(context("ingest", platform.day, *SMALL, source="classics", path=str(folder)))


def test_unknown_source_and_large_image(context, platform, store, folder, capsys):
    with pytest.raises(SettingsError, match="there are: classics"):
        ingest.run(context("ingest", platform.day, *SMALL, source="paintings", path=str(folder)))
    small = (*SMALL, "intake.max_image_bytes=10")
    outcome = ingest.run(context("ingest", platform.day, *small, source="classics", path=str(folder)))
    assert outcome.counts["images"] == 0
    assert "max_image_bytes" in capsys.readouterr().err
