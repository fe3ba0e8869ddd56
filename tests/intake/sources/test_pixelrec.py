"""PixelRec: files found by their columns, titles of any shape, timestamps in milliseconds."""

from datetime import date

import pytest

from icg_tasks.config import load_settings
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.intake.sources.pixelrec import read_pixelrec

DAY = date(2026, 3, 10)
SETTINGS = load_settings("tiny", ["features.window_days=3", "intake.non_clicks_per_click=2"])
ITEMS = [f"i{number}" for number in range(12)]


@pytest.fixture
def folder(tmp_path, covers):
    target = tmp_path / "pixelrec"
    covers(target / "covers", ITEMS[:11])
    rows = [
        f"i{(user + step) % 12},u{user},{1_600_000_000_000 + user * 3_600_000 + step}"
        for user in range(20)
        for step in range(3)
    ]
    (target / "Pixel200K.csv").write_text("item_id,user_id,timestamp\n" + "\n".join(rows) + "\n")
    numbers = ("view", "comment", "thumbup", "share", "coin", "favorite", "barrage")
    head = ",".join(["item_id", *[f"{name}_number" for name in numbers], "title,tag,description\n"])
    lines = [f'{item},1,2,3,4,5,6,7,"猫, ""the"" cat\n{item}",animals,"a, b\nc"' for item in ITEMS]
    (target / "item_info.csv").write_text(head + "\n".join(lines) + "\n")
    return target


def test_titles_may_hold_commas_quotes_and_line_breaks(folder, bench):
    data = read_pixelrec(folder, DAY, SETTINGS, bench)
    rows = {row["item_id"]: row for row in data.items.to_pylist()}
    assert rows["pixelrec-i3"]["title"] == '猫, "the" cat i3'
    assert rows["pixelrec-i3"]["category"] == "animals"
    assert rows["pixelrec-i3"]["language"] == "zh"
    assert len(rows) == 11
    assert data.images["pixelrec/i3.jpg"] == folder / "covers" / "i3.jpg"
    assert "non-commercial" in data.attribution


def test_clicks_are_the_first_events_on_items_with_a_cover(folder, bench):
    data = read_pixelrec(folder, DAY, SETTINGS, bench)
    tables = data.impressions
    clicks = [row for day in data.days for row in tables[day].to_pylist() if row["clicked"]]
    assert len(clicks) == sum((user + step) % 12 != 11 for user in range(20) for step in range(3))  # i11 has no cover
    assert [row["user_id"] for row in clicks][:3] == ["u0", "u0", "u0"]
    assert 2.9 * len(clicks) < sum(table.num_rows for table in tables.values()) <= 3 * len(clicks)


def test_missing_and_doubled_files_are_named(folder, bench):
    (folder / "more.csv").write_text((folder / "Pixel200K.csv").read_text())
    with pytest.raises(DataCorrupt, match=r"Pixel200K\.csv, more\.csv"):
        read_pixelrec(folder, DAY, SETTINGS, bench)
    (folder / "more.csv").unlink()
    (folder / "item_info.csv").unlink()
    with pytest.raises(DataMissing, match="item_id, title, tag"):
        read_pixelrec(folder, DAY, SETTINGS, bench)
