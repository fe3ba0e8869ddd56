"""A small platform that writes raw data, a store in a temporary folder, and contexts of stages on it."""

import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from icg_tasks.config import load_settings
from icg_tasks.contracts.partitions import partition_prefix
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS, RAW_ITEMS
from icg_tasks.lake.folder import FolderStore
from icg_tasks.lake.partitions import write_partition
from icg_tasks.stage import StageContext

KEY = "a key of the tests, long enough"


def png(seed: int = 0, size: tuple[int, int] = (16, 16), form: str = "PNG") -> bytes:
    """An image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, format=form)
    return sink.getvalue()


@dataclass(frozen=True)
class Platform:
    """Writes what a well-behaved platform would, and whatever a test makes of it. 30 items, 400 impressions a day."""

    store: FolderStore
    day: date = date(2026, 3, 10)

    def item_frame(self, day: date | None = None) -> pd.DataFrame:
        numbers = range(30)
        return pd.DataFrame(
            {
                "item_id": [f"item-{number:03d}" for number in numbers],
                "title": [f"The Quiet Rocket {number}" for number in numbers],
                "reference_image": [f"covers/{number:03d}.png" for number in numbers],
                "category": "rocket",
                "language": "en",
                "updated_at": f"{(day or self.day).isoformat()}T00:00:00Z",
            }
        )

    def impression_frame(self, day: date | None = None, count: int = 400) -> pd.DataFrame:
        day = day or self.day
        rng = np.random.default_rng(day.toordinal())
        clicked = (np.arange(count) % 5 == 0).astype(int)
        return pd.DataFrame(
            {
                "impression_id": [f"{day.isoformat()}-{number}" for number in range(count)],
                "user_id": [f"user-{number}" for number in rng.integers(0, 60, count)],
                "item_id": [f"item-{number:03d}" for number in rng.integers(0, 30, count)],
                "shown_at": [f"{day.isoformat()}T{number % 24:02d}:{number % 60:02d}:00.000Z" for number in range(count)],
                "surface": rng.choice(["home", "search", "similar"], count),
                "position": rng.integers(0, 8, count),
                "cover_id": None,
                "propensity": 1.0,
                "clicked": clicked,
                "dwell_seconds": np.where(clicked == 1, 12.5, np.nan),
            }
        )

    def put_images(self) -> None:
        for number in range(30):
            self.store.put(f"raw/images/covers/{number:03d}.png", png(number))

    def put_items(self, frame: pd.DataFrame | None = None, day: date | None = None) -> None:
        day = day or self.day
        rows = self.item_frame(day) if frame is None else frame
        table = pa.Table.from_pandas(rows, schema=RAW_ITEMS, preserve_index=False)
        write_partition(self.store, "raw/items", day, [table], schema=RAW_ITEMS)

    def put_impressions(self, frame: pd.DataFrame | None = None, day: date | None = None) -> None:
        day = day or self.day
        rows = self.impression_frame(day) if frame is None else frame
        table = pa.Table.from_pandas(rows, schema=RAW_IMPRESSIONS, preserve_index=False)
        write_partition(self.store, "raw/impressions", day, [table], schema=RAW_IMPRESSIONS)

    def put_file(self, dataset: str, name: str, table: pa.Table, day: date | None = None) -> None:
        """A Parquet file as it comes, without a manifest."""
        sink = io.BytesIO()
        pq.write_table(table, sink)
        self.store.put(f"{partition_prefix(dataset, day or self.day)}/{name}", sink.getvalue())


@pytest.fixture(autouse=True)
def pseudonym_key(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setenv("ICG_PSEUDONYM_KEY", KEY)
    return KEY.encode()


@pytest.fixture
def noise() -> Callable[..., bytes]:
    return png


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def platform(store: FolderStore) -> Platform:
    return Platform(store)


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores to copy: ``fresh`` (clean catalogues, raw impressions) and ``caught_up`` (impressions clean too)."""
    from icg_tasks.intake import validate_impressions, validate_items

    root = tmp_path_factory.mktemp("window")
    platform = Platform(FolderStore(root / "fresh"))
    last = platform.day - timedelta(days=1)
    platform.put_images()
    for back in (3, 2, 1, 0):
        platform.put_items(day=platform.day - timedelta(days=back))
    for back in (3, 2, 1):
        platform.put_impressions(day=platform.day - timedelta(days=back))
    validate_items.run(context_of("validate-items", platform.day, platform.store, root))
    shutil.copytree(root / "fresh", root / "caught_up")
    store = FolderStore(root / "caught_up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICG_PSEUDONYM_KEY", KEY)
        validate_impressions.run(context_of("validate-impressions", last, store, root))
    return root


def context_of(stage: str, day: date, store: FolderStore, work: Path, *overrides: str, **arguments: Any) -> StageContext:
    settings = load_settings("tiny", [f"store={store.root}", f"work_folder={work / 'work'}", *overrides])
    return StageContext(stage=stage, run_date=day, settings=settings, store=store, arguments=arguments)


@pytest.fixture
def context(tmp_path: Path, store: FolderStore) -> Callable[..., StageContext]:
    """``context(stage, day, "section.field=value", …, **arguments)``."""

    def make(stage: str, day: date, *overrides: str, **arguments: Any) -> StageContext:
        return context_of(stage, day, store, tmp_path, *overrides, **arguments)

    return make
