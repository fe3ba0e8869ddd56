"""pigeon: small data in both published layouts, good and bad, through ingest and validation."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from icg_tasks.config import Settings, load_settings
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS, RAW_ITEMS
from icg_tasks.intake.sources.pigeon import read_pigeon

DAY = date(2026, 3, 10)
NUM_ITEMS = 14


@pytest.fixture
def settings() -> Settings:
    return load_settings("tiny", ["features.window_days=4", "intake.non_clicks_per_click=2"])


def save(folder: Path, name: str, value: Any) -> None:
    np.save(folder / "processed_seq" / name, np.array(value, dtype=object), allow_pickle=True)


def images(folder: Path, names: list[str]) -> None:
    folder.mkdir()
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (24, 24), (number * 15, 90, 40)).save(folder / name)


SEQUENCES = {1: {"Joy": [0, 1, 2, 3, 4, 5, 6]}, 2: {"Joy": [3, 2, 1], "Fear": [9, 8]}}


@pytest.fixture
def stickers(tmp_path: Path) -> Path:
    """Two users; a window of six in train, a wrong one in test; one image's name leads out of the folder."""
    (tmp_path / "processed_seq").mkdir()
    names = [f"Theme {number % 2}/s ü{number}.PNG" for number in range(NUM_ITEMS)]
    images(tmp_path / "Images", names)
    names[4] = "../processed_seq/train.npy"
    np.save(tmp_path / "processed_seq" / "all_image_paths.npy", np.array(names))
    entries = {item: {"emo": "Joy" if item < 8 else "Fear", "text": "hi" if item == 1 else ""} for item in range(NUM_ITEMS)}
    save(tmp_path, "mapped_anno_dict.npy", entries)
    save(tmp_path, "mapped_user_dict.npy", SEQUENCES)
    np.save(tmp_path / "processed_seq" / "sticker_semantics.npy", np.array([f"a cat, {n}" for n in range(NUM_ITEMS)]))
    save(tmp_path, "train.npy", {1: {"Joy": [[0, 1, 2, 3, 4, 5]]}})
    save(tmp_path, "test.npy", {1: {"Joy": [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]]}})
    return tmp_path


def test_stickers_become_raw_data_sets(stickers: Path, settings: Settings) -> None:
    data = read_pigeon(stickers, DAY, settings)
    assert data.items.schema == RAW_ITEMS
    items = {row["item_id"]: row for row in data.items.to_pylist()}
    assert sorted(items) == sorted(f"pigeon-{item}" for item in [0, 1, 2, 3, 4, 5, 6, 8, 9])
    assert items["pigeon-1"]["title"] == "hi"
    assert items["pigeon-2"]["title"] == "a cat, 2"
    assert items["pigeon-9"]["category"] == "Fear"
    assert items["pigeon-0"]["reference_image"] == "pigeon/0.png"
    assert sorted(data.images) == sorted(f"pigeon/{item}.png" for item in [0, 1, 2, 3, 5, 6, 8, 9])
    assert data.counts["clicks"] == 12
    assert data.counts["users"] == 2
    assert data.counts["published_windows"] == 3
    assert data.counts["published_windows_outside_sequences"] == 1
    assert len(data.impressions) == 4
    for table in data.impressions.values():
        assert table.schema == RAW_IMPRESSIONS


def test_a_sequence_keeps_its_order_and_non_clicks_were_never_chosen(stickers: Path, settings: Settings) -> None:
    data = read_pigeon(stickers, DAY, settings)
    rows = [row for day in sorted(data.impressions) for row in data.impressions[day].to_pylist()]
    clicked = [row["item_id"] for row in rows if row["user_id"] == "user-1" and row["clicked"]]
    assert clicked == [f"pigeon-{item}" for item in SEQUENCES[1]["Joy"]]
    for user, genres in SEQUENCES.items():
        chosen = {f"pigeon-{item}" for items in genres.values() for item in items}
        passed = {row["item_id"] for row in rows if row["user_id"] == f"user-{user}" and not row["clicked"]}
        assert passed
        assert not passed & chosen
    again = read_pigeon(stickers, DAY, settings)
    assert all(table.equals(again.impressions[day]) for day, table in data.impressions.items())


def test_posters_have_titles_and_genres(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "processed_seq").mkdir()
    images(tmp_path / "poster", [f"{number}.jpg" for number in range(8)])
    save(tmp_path, "all_image_paths.npy", [f"{number}.jpg" for number in range(8)])
    films = {item: {"title": f"Film {item} (1983)", "genres": "Action|Drama", "intro": "…"} for item in range(8)}
    save(tmp_path, "mapped_movies.npy", films)
    save(tmp_path, "user_seq_dict.npy", {5: {3: np.arange(7)}})
    data = read_pigeon(tmp_path, DAY, settings)
    assert data.provenance["scenario"] == "posters"
    assert data.items["title"][0].as_py() == "Film 0 (1983)"
    assert data.items["category"][0].as_py() == "Action"
    assert len(data.images) == 7
    assert data.counts["clicks"] == 7


def test_bad_files_are_named(stickers: Path, settings: Settings, tmp_path: Path) -> None:
    save(stickers, "test.npy", {1: {"Joy": [[1, 2]]}})
    with pytest.raises(DataCorrupt, match=r"test.npy: expected windows of 6 items, found \[1, 2\]"):
        read_pigeon(stickers, DAY, settings)
    save(stickers, "mapped_user_dict.npy", {1: {"Joy": [0, 99]}})
    with pytest.raises(DataCorrupt, match=r"mapped_user_dict.npy: user 1, genre Joy has an item .* 0 to 13"):
        read_pigeon(stickers, DAY, settings)
    save(stickers, "mapped_user_dict.npy", {1: [0, 1]})
    with pytest.raises(DataCorrupt, match=r"mapped_user_dict.npy: expected user → genre → list"):
        read_pigeon(stickers, DAY, settings)
    save(stickers, "mapped_user_dict.npy", {"raw": Path("x")})
    with pytest.raises(DataCorrupt, match=r"mapped_user_dict.npy: .*the name 'pathlib.*Path'"):
        read_pigeon(stickers, DAY, settings)
    save(stickers, "mapped_user_dict.npy", SEQUENCES)
    save(stickers, "mapped_anno_dict.npy", {0: {"emo": "Joy"}})
    (stickers / "processed_seq" / "test.npy").unlink()
    with pytest.raises(DataCorrupt, match=r"mapped_anno_dict.npy: item 1 of the sequences is not in it"):
        read_pigeon(stickers, DAY, settings)
    with pytest.raises(DataMissing, match=r"neither mapped_anno_dict.npy nor mapped_movies.npy in"):
        read_pigeon(tmp_path / "Images", DAY, settings)
