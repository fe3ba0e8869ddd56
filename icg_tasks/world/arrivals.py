"""The log of a day: what was shown that day and arrived in time, what arrives late from the days before, and what went wrong.

Knows the raw columns. Days are lived once and remembered for as long as late rows may come from them.
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS
from icg_tasks.lake.store import ObjectStore
from icg_tasks.world.chance import EPOCH, day_number, stream
from icg_tasks.world.corruption import LATE_DAYS, Columns, delays, duplicate, spoil
from icg_tasks.world.days import Cast, Shown, cast_of, live
from icg_tasks.world.positions import SURFACES
from icg_tasks.world.published import covers_up
from icg_tasks.world.readers import reader_name


class Arrivals:
    """Tables of raw impressions by the day they arrived."""

    def __init__(self, store: ObjectStore, settings: Settings, say: Callable[[str], None]) -> None:
        self._store, self._settings, self._say = store, settings, say
        self._seen: dict[str, NDArray[np.float32]] = {}
        self._lived: dict[date, tuple[pa.Table, NDArray[np.int64]]] = {}

    def on(self, day: date) -> tuple[pa.Table, dict[str, Any]]:
        """The day's raw rows and their true counts (rows, late, too_late, duplicates, malformed by kind, click_rate, …)."""
        parts, late = [], {}
        for back in (0, *LATE_DAYS):
            shown_on = day - timedelta(days=back)
            if shown_on < EPOCH:
                continue
            table, delay_N = self._day(shown_on)
            parts.append(table.filter(pa.array(delay_N == back)))
            late[back] = parts[-1].num_rows
        for known in [known for known in self._lived if known < day - timedelta(days=max(LATE_DAYS))]:
            del self._lived[known]
        good = pa.concat_tables(parts)
        counts = {
            "click_rate": round(float(np.mean(good["clicked"].to_numpy())), 6),
            "covers_shown": good.num_rows - good["cover_id"].null_count,
            "users": len(good["user_id"].unique()),
            "late": sum(rows for back, rows in late.items() if 0 < back <= 3),
            "too_late": late.get(max(LATE_DAYS), 0),
        }
        return self._went_wrong(day, good, counts)

    def _day(self, day: date) -> tuple[pa.Table, NDArray[np.int64]]:
        if day not in self._lived:
            world = self._settings.world
            cast = cast_of(world, day)
            cast = Cast(
                readers=cast.readers,
                shelf=cast.shelf,
                covers=covers_up(self._store, self._settings, day, cast, self._say, self._seen),
            )
            shown = live(world, day, cast)
            late = delays(len(shown), world.late_share, stream(world.seed, "late", day_number(day)))
            self._lived[day] = raw_table(day, cast, shown), late
        return self._lived[day]

    def _went_wrong(self, day: date, good: pa.Table, counts: dict[str, Any]) -> tuple[pa.Table, dict[str, Any]]:
        world = self._settings.world
        rng = stream(world.seed, "wrong", day_number(day))
        columns: Columns = {name: good[name].to_pylist() for name in good.column_names}
        kinds, spoilt = spoil(columns, world.malformed_share, rng)
        duplicates = duplicate(columns, world.duplicate_share, spoilt, rng)
        table = pa.table(columns, schema=RAW_IMPRESSIONS)
        return table, {
            **counts,
            "rows": table.num_rows,
            "duplicates": duplicates,
            "malformed": kinds,
            "malformed_rows": len(spoilt),
        }


def raw_table(day: date, cast: Cast, shown: Shown) -> pa.Table:
    """Rows as the platform would log them, all well-formed."""
    names = [reader_name(cast.readers.first + row) for row in range(len(cast.readers))]
    items = [item.item_id for item in cast.shelf.items]
    covers = cast.covers.cover_ids if cast.covers else []
    moment = np.datetime64(day.isoformat(), "ms") + shown.millisecond_N.astype("timedelta64[ms]")
    prefix = f"i-{day:%Y%m%d}-"
    return pa.table(
        {
            "impression_id": [f"{prefix}{row:07d}" for row in range(len(shown))],
            "user_id": pa.array(names, pa.string()).take(pa.array(shown.user_N)),
            "item_id": pa.array(items, pa.string()).take(pa.array(shown.item_N)),
            "shown_at": pa.array([f"{text}Z" for text in np.datetime_as_string(moment).tolist()], pa.string()),
            "surface": pa.array([entry.name for entry in SURFACES], pa.string()).take(pa.array(shown.surface_N)),
            "position": shown.position_N,
            "cover_id": pa.array(covers, pa.string()).take(pa.array(shown.cover_N, mask=shown.cover_N < 0)),
            "propensity": shown.propensity_N.round(6),
            "clicked": shown.clicked_N.astype(np.int64),
            "dwell_seconds": pa.array(shown.dwell_N, mask=np.isnan(shown.dwell_N)),
        },
        schema=RAW_IMPRESSIONS,
    )
