"""What sources that know no days and no impressions have in common: a window, sorted draws over it, non-clicks beside clicks.

A source says who clicked what, in which order or when; here that becomes impressions of a window of days. Knows no format.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS
from icg_tasks.intake.impression_rules import surface_names
from icg_tasks.intake.windows import day_start_ms

SURFACE = "home"
SEED = 1
SECONDS_USED = 86_000  # of a day: the non-clicks of the last click still fall on its day

Whole = NDArray[np.int64]
Floats = NDArray[np.float64]


def window(last_day: date, settings: Settings, source: str) -> list[date]:
    """The ``features.window_days`` days ending with ``last_day``; raises DataCorrupt where settings lack its surface."""
    if SURFACE not in surface_names(settings.intake):
        raise DataCorrupt(f"{source} is shown on surface {SURFACE!r}, which intake.surfaces does not list; add it there")
    return [last_day - timedelta(days=back) for back in range(settings.features.window_days - 1, -1, -1)]


def generator_of(source: str, user: Any) -> np.random.Generator:
    """The random numbers of one user, the same on every machine."""
    digest = hashlib.sha256(f"{source}:{SEED}:{user}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def places(moments: Floats, num_days: int) -> tuple[Whole, Floats]:
    """Day (index) and second of the day of moments in [0, num_days)."""
    day = np.minimum(moments.astype(np.int64), num_days - 1)
    return day, (moments - day) * SECONDS_USED


def shown_rows(user: int, clicks: Whole, passed: Whole, day: Whole, second: Floats, rng: np.random.Generator) -> pd.DataFrame:
    """One user's impressions (user, item, clicked, day, second): each click, and right after it its share of what was passed.

    ``day`` and ``second`` are of the clicks; which click a non-click belongs to is drawn.
    """
    count = len(clicks)
    after = rng.permutation(count)[np.arange(len(passed)) % count]
    return pd.DataFrame(
        {
            "user": user,
            "item": np.concatenate([clicks, passed]),
            "clicked": np.concatenate([np.ones(count, dtype=np.int64), np.zeros(len(passed), dtype=np.int64)]),
            "day": np.concatenate([day, day[after]]),
            "second": np.concatenate([second, second[after] + 1 + np.arange(len(passed)) // count]),
        }
    )


def day_tables(
    rows: pd.DataFrame, days: Sequence[date], prefix: str, user_name: Callable[[Any], str], item_name: Callable[[Any], str]
) -> dict[date, pa.Table]:
    """Impressions of each day (RAW_IMPRESSIONS), by time. ``rows``: user, item, clicked, day (index), second (of the day).

    Ids are ``prefix``, the day and the row's number in it, so they tell nothing about the user. One surface, position 0,
    propensity 1 (no policy is known), the item's own cover, no dwell time.
    """
    by_day = dict(tuple(rows.groupby("day", sort=True)))
    return {
        day: _day_table(by_day.get(index, rows.head(0)), day, prefix, user_name, item_name) for index, day in enumerate(days)
    }


def _day_table(
    rows: pd.DataFrame, day: date, prefix: str, user_name: Callable[[Any], str], item_name: Callable[[Any], str]
) -> pa.Table:
    rows = rows.sort_values(["second", "user", "item"], kind="stable")
    shown = day_start_ms(day) + (rows["second"].to_numpy() * 1000).astype(np.int64)
    count = len(rows)
    return pa.table(
        {
            "impression_id": [f"{prefix.replace('*', day.isoformat())}-{number:06d}" for number in range(count)],
            "user_id": _names(rows["user"], user_name),
            "item_id": _names(rows["item"], item_name),
            "shown_at": pc.strftime(pa.array(shown, pa.timestamp("ms")), format="%Y-%m-%dT%H:%M:%SZ"),
            "surface": [SURFACE] * count,
            "position": np.zeros(count, dtype=np.int64),
            "cover_id": pa.nulls(count, pa.string()),
            "propensity": np.ones(count),
            "clicked": rows["clicked"].to_numpy(),
            "dwell_seconds": pa.nulls(count, pa.float64()),
        },
        schema=RAW_IMPRESSIONS,
    )


def _names(values: pd.Series, name: Callable[[Any], str]) -> pa.Array:
    """The name of each value; each distinct one is named once."""
    codes, distinct = pd.factorize(values)
    return pa.array([name(value) for value in distinct], pa.string()).take(pa.array(codes))


def file_sha256(path: Path) -> str:
    """Hash of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
