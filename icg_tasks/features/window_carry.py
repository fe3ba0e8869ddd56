"""Which days to add to a former date's window sums, and which to take away, so that the run date's come out. Bookkeeping only.

A former window is of use where it was added up the same way (anchor, encoder, buckets) and every day to take away is still as
it was when it was added; otherwise the window is added up anew. Either way the bytes are the same. Knows manifests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from icg_tasks.features.spaces import CONTENT, Space
from icg_tasks.features.spark_windows import Change
from icg_tasks.features.window_sums import Scale
from icg_tasks.lake.partitions import Partition, find_partition, list_partition_dates
from icg_tasks.lake.store import ObjectStore

_LOOK_BACK = 3
_WINDOW_READS = 2
"""Reading a former window costs about as much as so many days."""


@dataclass(frozen=True, kw_only=True)
class CarryPlan:
    """The change to make, and what the new window's manifest says."""

    change: Change
    metadata: Mapping[str, Any]


def plan_carry(
    store: ObjectStore,
    run_date: date,
    days: Mapping[date, Partition],
    scale: Scale,
    way: Mapping[str, Any],
    space: Space = CONTENT,
) -> CarryPlan:
    """From the days' sums (with their fingerprints) and what else the sums depend on (JSON values)."""
    wanted = {day.isoformat(): str(part.metadata["fingerprint"]) for day, part in sorted(days.items())}
    said = {**way, "anchor": scale.anchor.isoformat(), "half_life_days": scale.half_life_days, "bits": scale.bits}
    metadata = {**said, "days": wanted}
    earlier = [day for day in list_partition_dates(store, space.windows) if day < run_date]
    for day in reversed(earlier[-_LOOK_BACK:]):
        former = find_partition(store, space.windows, day)
        if former is None or any(former.metadata.get(key) != value for key, value in said.items()):
            continue
        change = _change(store, former, days, wanted, space)
        if change is not None and len(change.added) + len(change.removed) + _WINDOW_READS < len(days):
            return CarryPlan(change=change, metadata=metadata)
    return CarryPlan(change=Change(former=None, added=[days[day] for day in sorted(days)], removed=[]), metadata=metadata)


def _change(
    store: ObjectStore, former: Partition, days: Mapping[date, Partition], wanted: Mapping[str, str], space: Space
) -> Change | None:
    """None where a day to take away is no longer what was added."""
    held: dict[str, str] = former.metadata["days"]
    added = [days[day] for day in sorted(days) if held.get(day.isoformat()) != wanted[day.isoformat()]]
    removed = []
    for text, fingerprint in sorted(held.items()):
        if wanted.get(text) == fingerprint:
            continue
        part = find_partition(store, space.days, date.fromisoformat(text))
        same = part is not None and part.metadata.get("fingerprint") == fingerprint
        if part is None or not same or part.metadata.get("buckets") != former.metadata["buckets"]:
            return None
        removed.append(part)
    return Change(former=former, added=added, removed=removed)
