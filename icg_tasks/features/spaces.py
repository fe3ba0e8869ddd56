"""The data sets that hold user vectors of one kind: made of item vectors the same way, side by side in the store.

Content vectors say what an item shows; collaborative ones, who else clicked it. Covers are drawn for the former, so these are
always there; segments may be told by either.
"""

from dataclasses import dataclass
from datetime import date

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing, SettingsError
from icg_tasks.lake.partitions import Partition, find_partition
from icg_tasks.stage import StageContext

_KINDS = ("content", "collaborative")


@dataclass(frozen=True, kw_only=True)
class Space:
    """Item vectors, their sums by user and day, sums carried from date to date, vectors of users."""

    items: str
    days: str
    windows: str
    users: str


CONTENT = Space(items=keys.ITEM_FEATURES, days=keys.USER_DAYS, windows=keys.USER_WINDOWS, users=keys.USERS)
COLLABORATIVE = Space(items=keys.ITEM_FACTORS, days=keys.TASTE_DAYS, windows=keys.TASTE_WINDOWS, users=keys.TASTES)


def by_collaboration(segment_vectors: str) -> bool:
    """Whether segments are told by collaborative vectors; raises SettingsError.

    >>> by_collaboration("content"), by_collaboration("collaborative")
    (False, True)
    """
    if segment_vectors not in _KINDS:
        raise SettingsError(f"features.segment_vectors={segment_vectors!r}: expected {' or '.join(_KINDS)}")
    return segment_vectors == _KINDS[1]


def vectors_for_segments(context: StageContext, users: Partition, items: Partition) -> tuple[Partition, Partition]:
    """The vectors of users and of items that say who belongs together: content's as given, or collaborative ones.

    Raises SettingsError, and DataMissing where collaborative ones were not made.
    """
    if not by_collaboration(context.settings.features.segment_vectors):
        return users, items
    tastes = find_partition(context.store, keys.TASTES, context.run_date)
    day = tastes.metadata["factors"] if tastes is not None else None
    factors = find_partition(context.store, keys.ITEM_FACTORS, date.fromisoformat(day)) if day is not None else None
    if tastes is None or factors is None or factors.metadata["encoder"] != tastes.metadata["encoder"]:
        raise DataMissing(
            f"{keys.TASTES} has no rows for {context.run_date}, or the {keys.ITEM_FACTORS} behind them are no longer there; "
            f"run `icg build-user-embeddings --run-date {context.run_date}` with features.segment_vectors=collaborative"
        )
    return tastes, factors
