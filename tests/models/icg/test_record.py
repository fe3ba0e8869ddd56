"""The record of a training: a sheet per chosen step, and event files beside it."""

from pathlib import Path

import torch
from PIL import Image

from icg_tasks.models.icg.record import Record, sheet_of


def test_a_sheet_has_a_row_per_item_and_a_column_per_user() -> None:
    images = torch.zeros(2, 3, 3, 4, 5)
    images[1, 2, 0] = 1.0
    sheet = sheet_of(images)
    assert sheet.size == (3 * 7, 2 * 6)
    assert sheet.getpixel((2 * 7, 6)) == (255, 0, 0)
    assert sheet.getpixel((0, 0)) == (0, 0, 0)


def test_covers_and_figures_land_in_the_folder(tmp_path: Path) -> None:
    record = Record(tmp_path / "record")
    record.figures(3, "check", {"own": 0.5, "broken": ["dark_share"], "step": 3})
    record.covers(3, torch.rand(1, 2, 3, 8, 8))
    assert Image.open(tmp_path / "record" / "covers-000003.png").size == (20, 10)
    events = next((tmp_path / "record").glob("events.out.tfevents.*")).read_bytes()
    assert b"check/own" in events
    assert b"check/broken" not in events
    assert b"check/step" not in events
