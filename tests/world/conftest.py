"""A small world: 300 users, 40 items, 3,000 impressions a day."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from icg_tasks.config import Settings, load_settings
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.stage import StageContext

DAY = date(2026, 3, 10)
SMALL = ("world.num_users=300", "world.num_items=40", "world.impressions_per_day=3000", "world.num_days=3")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICG_PSEUDONYM_KEY", "a key of tests, long enough")


@pytest.fixture
def day() -> date:
    return DAY


@pytest.fixture
def settings() -> Settings:
    return load_settings("tiny", SMALL)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def context(store: ObjectStore, settings: Settings, tmp_path: Path) -> Callable[..., StageContext]:
    def made(run_date: date = DAY, arguments: Mapping[str, Any] | None = None, chosen: Settings = settings) -> StageContext:
        return StageContext(stage="simulate", run_date=run_date, settings=chosen, store=store, arguments=arguments or {})

    return made
