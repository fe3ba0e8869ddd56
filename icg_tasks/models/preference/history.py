"""User vectors as they stood the day BEFORE each impression, so that no click is in the vector that predicts it.

Sums features/user_days with the formula of features/vector_formula. Knows nothing of networks. Legend: R rows, G users,
U (user, day) pairs, V vector width.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.contracts.partitions import USER_DAYS, USERS
from icg_tasks.features.vector_formula import decay, global_scale, shrunken
from icg_tasks.lake.partitions import find_partition, list_partition_dates, read_partition
from icg_tasks.models.preference.shown import vector_matrix
from icg_tasks.stage import StageContext

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Day:
    """One day's partial sums of the users that matter."""

    group: Rows
    sums: Floats
    weight: NDArray[np.float64]


def vectors_before(
    context: StageContext, days: list[date], day_R: Rows, group_R: Rows, user_ids: list[str], width: int, encoder: str
) -> tuple[Floats, Rows]:
    """Vectors [U, V] of every (user, day) that occurs, first the zero vector, and the row of each impression [R].

    ``day_R`` indexes ``days``; a vector uses days strictly before it. The scale is the one of features/users of the run date
    (what serving multiplies by), or where that is missing, of these vectors themselves. Sums of another encoder do not count.
    """
    features = context.settings.features
    first = min(days) - timedelta(days=features.window_days)
    there = [day for day in list_partition_dates(context.store, USER_DAYS) if first <= day < max(days)]
    there = [day for day in there if _encoder(context, day) == encoder]
    number = pa.array(user_ids, pa.string())
    sums = {day: _read_day(context, day, number, width) for day in there}
    parts: list[Floats] = [np.zeros((1, width), dtype=np.float32)]
    rows = np.zeros(len(day_R), dtype=np.int64)
    filled = 1
    for index, day in enumerate(days):
        mine = np.flatnonzero(day_R == index)
        groups, place = np.unique(group_R[mine], return_inverse=True)
        window = [past for past in there if day - timedelta(days=features.window_days) <= past < day]
        vectors = _decayed(
            groups, {past: sums[past] for past in window}, day - timedelta(days=1), len(user_ids), width, context
        )
        empty = ~vectors.any(axis=1)
        at = np.where(empty, 0, filled + np.cumsum(~empty) - 1)
        parts.append(vectors[~empty])
        rows[mine] = at[place]
        filled += len(parts[-1])
    table = np.concatenate(parts)
    return table * np.float32(_scale(context, table[1:])), rows


def _encoder(context: StageContext, day: date) -> str:
    partition = find_partition(context.store, USER_DAYS, day)
    return str(partition.metadata.get("encoder", "")) if partition else ""


def _decayed(groups: Rows, window: dict[date, _Day], as_of: date, num_users: int, width: int, context: StageContext) -> Floats:
    """Unscaled vectors [len(groups), V] as of a day."""
    features = context.settings.features
    row_of = np.full(num_users, -1, dtype=np.int64)
    row_of[groups] = np.arange(len(groups))
    total = np.zeros((len(groups), width), dtype=np.float32)
    weight = np.zeros(len(groups))
    for past, day in window.items():
        at = row_of[day.group]
        mine = at >= 0
        share = decay((as_of - past).days, features.half_life_days)
        total[at[mine]] += np.float32(share) * day.sums[mine]
        weight[at[mine]] += share * day.weight[mine]
    return np.asarray(shrunken(total, weight, features.prior_weight), dtype=np.float32)


def _read_day(context: StageContext, day: date, users: pa.Array, width: int) -> _Day:
    table = read_partition(context.store, USER_DAYS, day, ["user_id", "vector_sum", "weight"])
    group = pc.index_in(table["user_id"].combine_chunks(), value_set=users)
    known = pc.is_valid(group)
    table = table.filter(known)
    return _Day(
        group=group.filter(known).to_numpy(zero_copy_only=False).astype(np.int64),
        sums=vector_matrix(table["vector_sum"], width, f"{USER_DAYS} for {day}"),
        weight=table["weight"].to_numpy(),
    )


def _scale(context: StageContext, vectors: Floats) -> float:
    partition = find_partition(context.store, USERS, context.run_date)
    scale = partition.metadata.get("scale") if partition else None
    return float(scale) if isinstance(scale, int | float) and scale > 0 else global_scale(vectors)
