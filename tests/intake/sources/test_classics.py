"""classics: on small files of the same shape, good and bad, and on the real data where ICG_CLASSICS_DATA names its folder."""

import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from icg_tasks.config import Settings, load_settings
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, IcgError
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS, RAW_ITEMS
from icg_tasks.intake.sources.classics import read_classics
from icg_tasks.intake.sources.outside import OutsideData

DAY = date(2026, 3, 10)
WORKS = [5, 10, 42, 1500, 2500, 3500]  # 5 is observed for everybody


@pytest.fixture
def settings() -> Settings:
    return load_settings("tiny", ["features.window_days=4", "intake.non_clicks_per_click=2"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six works; readers 1 (complete), 2 (items<=2000), 3 (partial), 4 (complete, one rating in an unknown place)."""
    (tmp_path / "covers").mkdir()
    for work in WORKS:
        Image.new("RGB", (24, 36), (work % 256, 90, 40)).save(tmp_path / "covers" / f"{work}.jpg")
    pd.DataFrame(
        {
            "item_id": WORKS,
            "title": [f"Book {work}" for work in WORKS],
            "genres": ["Fiction", "Children’s;Fiction", "Fiction;Horror", "Poetry", "", "Fiction"],
            "language": "en-GB",
            "cover_path": [f"covers/{work}.jpg" for work in WORKS],
            "rated_by_all_users_known": [work == 5 for work in WORKS],
            "description": "not needed",
        }
    ).to_parquet(tmp_path / "items.parquet")
    rows = [
        (1, 42, 7, "complete"),
        (1, 1500, 2, "complete"),
        (2, 10, 0, "items<=2000"),
        (2, 2500, 1, "items<=2000"),
        (3, 5, 0, "partial"),
        (3, 42, 1, "partial"),
        (4, 10, 4, "complete"),
        (4, 42, None, "complete"),
        (4, 5, 9, "complete"),
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "order", "history"])
    frame["order"] = frame["order"].astype("Int32")
    frame["rating"] = 4
    frame.to_parquet(tmp_path / "interactions.parquet")
    return tmp_path


def change(folder: Path, name: str, **columns: object) -> None:
    frame = pd.read_parquet(folder / name)
    for column, value in columns.items():
        frame = frame.drop(columns=column) if value is None else frame.assign(**{column: value})
    frame.to_parquet(folder / name)


def rows_of(data: OutsideData) -> pd.DataFrame:
    parts = [table.to_pandas().assign(day=day) for day, table in data.impressions.items()]
    return pd.concat(parts, ignore_index=True)


def shown(rows: pd.DataFrame, reader: int, clicked: int) -> list[str]:
    mine = rows[(rows["user_id"] == f"reader-{reader}") & (rows["clicked"] == clicked)]
    return mine.sort_values("shown_at")["item_id"].tolist()


def test_clicks_are_the_readers_ratings_in_their_order(folder, settings):
    rows = rows_of(read_classics(folder, DAY, settings))
    assert shown(rows, 1, 1) == ["book-1500", "book-42"]
    found = shown(rows, 4, 1)
    assert [item for item in found if item != "book-42"] == ["book-10", "book-5"]
    assert sorted(found) == ["book-10", "book-42", "book-5"]


def test_absent_is_a_non_click_only_where_it_would_have_been_seen(folder, settings):
    data = read_classics(folder, DAY, settings)
    rows = rows_of(data)
    assert set(shown(rows, 1, 0)) == {"book-5", "book-10", "book-2500", "book-3500"}
    assert set(shown(rows, 2, 0)) <= {"book-5", "book-42", "book-1500"}
    assert len(shown(rows, 2, 0)) == 2
    assert shown(rows, 3, 0) == []


def test_ratings_outside_the_observed_works_are_left_out_and_counted(folder, settings):
    data = read_classics(folder, DAY, settings)
    rows = rows_of(data)
    assert shown(rows, 2, 1) == ["book-10"]
    assert shown(rows, 3, 1) == ["book-5"]
    assert data.counts == {
        "readers": 4,
        "works": 6,
        "clicks": 7,
        "non_clicks": 4 + 2 + 0 + 3,
        "clicks_outside_observed": 2,
        "clicks_with_unknown_place": 1,
    }
    assert data.provenance["counts"] == data.counts
    assert data.provenance["readers_by_history"] == {"complete": 2, "items<=2000": 1, "partial": 1}


def test_schemas_days_and_constants(folder, settings):
    data = read_classics(folder, DAY, settings)
    assert list(data.impressions) == [DAY - timedelta(days=back) for back in (3, 2, 1, 0)]
    assert data.items.schema == RAW_ITEMS
    assert all(table.schema == RAW_IMPRESSIONS for table in data.impressions.values())
    rows = rows_of(data)
    assert rows["impression_id"].is_unique
    assert not rows["impression_id"].str.contains("reader").any()
    assert (rows["shown_at"].str[:10] == rows["day"].astype(str)).all()
    assert (rows["surface"].unique().tolist(), rows["position"].unique().tolist(), rows["propensity"].unique().tolist()) == (
        ["home"],
        [0],
        [1.0],
    )
    assert data.items.column("category").to_pylist() == ["Fiction", "Children’s", "Horror", "Poetry", "Unknown", "Fiction"]
    assert set(data.images) == {f"classics/covers/{work}.jpg" for work in WORKS}
    assert "CC BY-SA 4.0" in data.attribution
    assert "CC0" in data.attribution


def test_the_same_files_give_the_same_rows_in_any_row_order(folder, settings):
    first = read_classics(folder, DAY, settings)
    frame = pd.read_parquet(folder / "interactions.parquet").sample(frac=1, random_state=1)
    frame.to_parquet(folder / "interactions.parquet")
    again = read_classics(folder, DAY, settings)
    assert all(again.impressions[day].equals(first.impressions[day]) for day in first.impressions)


def test_without_sampling_there_are_clicks_only(folder):
    data = read_classics(folder, DAY, load_settings("tiny", ["intake.non_clicks_per_click=0"]))
    assert (data.counts["clicks"], data.counts["non_clicks"]) == (7, 0)


def test_covers_outside_the_folder_are_not_followed(folder, settings):
    (folder.parent / "secret.jpg").write_bytes(b"secret")
    change(
        folder, "items.parquet", cover_path=["../secret.jpg", "/etc/hostname", *[f"covers/{work}.jpg" for work in WORKS[2:]]]
    )
    data = read_classics(folder, DAY, settings)
    assert set(data.images) == {f"classics/covers/{work}.jpg" for work in WORKS[2:]}


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("interactions.parquet", {"history": None}, "no column history"),
        ("items.parquet", {"rated_by_all_users_known": None}, "no column rated_by_all_users_known"),
        ("interactions.parquet", {"item_id": ["x"] * 9}, "not whole numbers"),
        ("interactions.parquet", {"user_id": [1.5] * 9}, "not whole numbers"),
        ("interactions.parquet", {"item_id": [9999] * 9}, "no rating"),
    ],
)
def test_other_columns_and_types_are_said(folder, settings, name, columns, message):
    change(folder, name, **columns)
    with pytest.raises(DataCorrupt, match=message):
        read_classics(folder, DAY, settings)


def test_missing_torn_and_huge_files_are_said(folder, settings):
    with pytest.raises(IcgError, match="max_raw_file_bytes"):
        read_classics(folder, DAY, load_settings("tiny", ["intake.max_raw_file_bytes=10"]))
    (folder / "interactions.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataCorrupt, match="not a whole Parquet file"):
        read_classics(folder, DAY, settings)
    (folder / "interactions.parquet").unlink()
    with pytest.raises(DataMissing, match="--path"):
        read_classics(folder, DAY, settings)


def test_surface_must_be_one_that_validation_knows(folder):
    with pytest.raises(DataCorrupt, match=r"intake\.surfaces"):
        read_classics(folder, DAY, load_settings("tiny", ["intake.surfaces=search"]))


@pytest.mark.skipif(not os.environ.get("ICG_CLASSICS_DATA"), reason="the real data: set ICG_CLASSICS_DATA to its folder")
def test_real_data_has_readers_order_and_popularity_that_predicts():
    folder = Path(os.environ["ICG_CLASSICS_DATA"])
    data = read_classics(folder, DAY, load_settings("tiny"))
    rows = rows_of(data)
    source = pd.read_parquet(folder / "interactions.parquet")
    assert data.counts["clicks"] + data.counts["clicks_outside_observed"] == len(source)
    assert data.counts["readers"] == source["user_id"].nunique()
    assert set(data.images) == {f"classics/covers/{work}.jpg" for work in pd.read_parquet(folder / "items.parquet")["item_id"]}
    sizes = rows.groupby("day").size()
    assert sizes.max() < 1.1 * sizes.min()
    rates = rows.groupby("day")["clicked"].mean()
    assert rates.max() - rates.min() < 0.01
    held_out = rows["user_id"].isin(sorted(set(rows["user_id"]))[::5])
    seen = rows[~held_out].groupby("item_id")["clicked"].agg(["sum", "size"])
    score = rows.loc[held_out, "item_id"].map((seen["sum"] + 1) / (seen["size"] + 5)).rank().to_numpy()
    clicked = rows.loc[held_out, "clicked"].to_numpy() == 1
    positives, negatives = clicked.sum(), (~clicked).sum()
    area = (score[clicked].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    assert 0.70 < area < 0.82
    mine = source[source["user_id"] == 1].dropna(subset="order").sort_values("order")["item_id"]
    known = [f"book-{item}" for item in mine if f"book-{item}" in set(shown(rows, 1, 1))]
    assert [item for item in shown(rows, 1, 1) if item in known] == known
    assert np.isfinite(area)
