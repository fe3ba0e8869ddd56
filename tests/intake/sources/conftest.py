"""A bench for sources that read in pieces, and small covers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from icg_tasks.intake.progress import Progress
from icg_tasks.intake.sources.outside import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    scratch = tmp_path / "bench"
    scratch.mkdir()
    return Bench(scratch=scratch, progress=lambda what, total: Progress(what=what, total=total, say=lambda _: None))


@pytest.fixture
def covers() -> Callable[[Path, list[str]], None]:
    """``covers(folder, names)`` writes <name>.jpg of different colours."""

    def write(folder: Path, names: list[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names):
            Image.new("RGB", (16, 24), (number * 20 % 256, 90, 40)).save(folder / f"{name}.jpg")

    return write
