"""Random numbers from stable names: the same (seed, names) gives the same stream on every machine and in any order of calls.

Also the world's calendar: everything is numbered from one epoch, so a day looks the same alone or in a window of days.
"""

import zlib
from datetime import date, timedelta

import numpy as np

from icg_tasks.contracts.errors import SettingsError

EPOCH = date(2000, 1, 1)


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A generator named by texts and whole numbers; raises SettingsError for a negative seed.

    >>> bool(stream(7, "day", 3).random() == stream(7, "day", 3).random())
    True
    """
    if seed < 0:
        raise SettingsError(f"world.seed is {seed}; it must be 0 or more")
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


def day_number(day: date) -> int:
    """Days since the epoch; raises SettingsError for a date before it.

    >>> day_number(date(2000, 1, 11))
    10
    """
    number = (day - EPOCH).days
    if number < 0:
        raise SettingsError(f"the embedded world begins on {EPOCH}; {day} is before it")
    return number


def day_of(number: int) -> date:
    """Inverse of day_number."""
    return EPOCH + timedelta(days=number)


def newcomers_per_day(wanted: int, population: int) -> int:
    """New users or items a day: as asked for, but a small world renews itself in 30 days at the fastest.

    >>> newcomers_per_day(60, 20_000), newcomers_per_day(60, 300)
    (60, 10)
    """
    return max(1, min(wanted, population // 30))
