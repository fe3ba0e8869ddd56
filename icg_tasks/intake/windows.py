"""Days as millisecond bounds, and what earlier clean days looked like: rows and clicks, read from their manifests alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from icg_tasks.lake.partitions import find_partition
from icg_tasks.lake.store import ObjectStore

TRAILING_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class PastDay:
    """Rows and clicks of one clean day; clicks 0 where the data set has none."""

    day: date
    rows: int
    clicks: int


def day_start_ms(day: date) -> int:
    """Milliseconds since 1970 of the day's first instant in UTC.

    >>> day_start_ms(date(1970, 1, 2))
    86400000
    """
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1000


def day_end_ms(day: date) -> int:
    """Milliseconds since 1970 of the next day's first instant in UTC."""
    return day_start_ms(day + timedelta(days=1))


def days_before(day: date, count: int) -> list[date]:
    """The ``count`` days before a day, ascending.

    >>> days_before(date(2026, 3, 1), 2)
    [datetime.date(2026, 2, 27), datetime.date(2026, 2, 28)]
    """
    return [day - timedelta(days=back) for back in range(count, 0, -1)]


def trailing_week(store: ObjectStore, dataset: str, day: date) -> Sequence[PastDay]:
    """The clean days among the seven before ``day``, ascending."""
    found = ((past, find_partition(store, dataset, past)) for past in days_before(day, TRAILING_DAYS))
    return [
        PastDay(day=past, rows=partition.rows, clicks=int(partition.metadata.get("clicks", 0)))
        for past, partition in found
        if partition is not None
    ]
