"""Days' partial sums of one bucket of users to window sums and back out again: whole numbers, so a day can be taken away too.

A window sum is a day's sum x growth since an anchor date, added over the days of the window. Growth is decay seen from the
other side: half a life before the anchor counts half, so decayed sums as of any date are window sums times one number.
Because all are whole numbers, adding today's day and taking the oldest away gives the bytes that adding the whole window up
would give. Pure numpy and Arrow; knows no files. Legend: U users, V vector width.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.contracts.schemas import USER_WINDOWS as WINDOW
from icg_tasks.contracts.schemas import USERS
from icg_tasks.features.exact_sums import Ints, fixed_point, vector_array, vector_matrix
from icg_tasks.features.vector_formula import decay, shrunken

BITS = 30
"""Fixed point of sums anchored at their own date, and of weights."""
CARRIED_BITS = 26
"""Of carried ones, which grow by up to 2^8 within an era."""
_LARGEST = 2.0**56
"""A day's sum beyond this counts as this: 64 such days still fit."""
_ERA_HALF_LIVES = 8.0
_EPOCH = date(2000, 1, 1)
_NUMBERS = ("information", "impressions", "clicks")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How a day's sums become whole numbers: the date at which they count once, the half-life, the bits behind the point."""

    anchor: date
    half_life_days: float
    bits: int

    def growth(self, day: date) -> float:
        """What a day counts: 1 at the anchor, half a half-life before it."""
        return decay((self.anchor - day).days, self.half_life_days)


def own_scale(run_date: date, half_life_days: float) -> Scale:
    """Sums as of the run date, to be used once."""
    return Scale(anchor=run_date, half_life_days=half_life_days, bits=BITS)


def carried_scale(run_date: date, half_life_days: float) -> Scale:
    """Sums that the next dates go on with: anchored at the first day of the run date's era of eight half-lives.

    >>> carried_scale(date(2026, 3, 10), 7.0).anchor, carried_scale(date(2026, 4, 20), 7.0).anchor
    (datetime.date(2026, 1, 24), datetime.date(2026, 3, 21))
    """
    length = max(1, int(_ERA_HALF_LIVES * half_life_days))
    days = (run_date - _EPOCH).days
    return Scale(anchor=_EPOCH + timedelta(days=days - days % length), half_life_days=half_life_days, bits=CARRIED_BITS)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A day's sums (columns of USER_DAYS), and whether they are added or taken away."""

    day: date
    table: pa.Table
    sign: int = 1


def everybody(columns: Iterable[pa.ChunkedArray]) -> pa.StringArray:
    """The users that occur in any of these columns, ascending."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    users = pc.unique(pa.chunked_array(chunks, pa.string()))
    return users.take(pc.sort_indices(users))


def summed(users: pa.StringArray, former: pa.Table | None, parts: Iterable[Part], width: int, scale: Scale) -> pa.Table:
    """Window sums (USER_WINDOWS, users ascending) of a former window and parts, looked at one after the other.

    ``users`` are all of theirs (``everybody``); those without an impression left are not in the result.
    """
    vector_UV = np.zeros((len(users), width), dtype=np.int64)
    numbers = {name: np.zeros(len(users), dtype=np.int64) for name in _NUMBERS}
    if former is not None and len(former):
        rows = _rows(users, former["user_id"])
        vector_UV[rows] = np.asarray(former["vector"].combine_chunks().flatten()).reshape(-1, width)
        for name in _NUMBERS:
            numbers[name][rows] = former[name].to_numpy()
    for part in parts:
        _add(part, _rows(users, part.table["user_id"]), vector_UV, numbers, scale)
    kept = np.flatnonzero(numbers["impressions"])
    if len(kept) < len(users):
        users, vector_UV = users.take(pa.array(kept)), vector_UV[kept]
    offsets = pa.array(np.arange(len(kept) + 1, dtype=np.int64) * width).cast(pa.int32())
    vectors = pa.ListArray.from_arrays(offsets, pa.array(vector_UV.ravel()))
    return pa.Table.from_arrays([users, vectors, *(pa.array(numbers[name][kept]) for name in _NUMBERS)], schema=WINDOW)


def unscaled_users(window: pa.Table, width: int, scale: Scale, run_date: date, prior_weight: float) -> tuple[pa.Table, int]:
    """User vectors (USERS) before the global scale, and the sum of their squared norms in units of 2^-30."""
    share = 1.0 / (2.0**scale.bits * decay((scale.anchor - run_date).days, scale.half_life_days))
    weight_U = window["information"].to_numpy() * share
    sums_UV = np.asarray(window["vector"].combine_chunks().flatten()).reshape(-1, width) * share
    vectors_UV = shrunken(sums_UV, weight_U, prior_weight).astype(np.float32)
    norms_U = fixed_point(np.square(vectors_UV, dtype=np.float64).sum(axis=1), BITS)
    columns = [window["user_id"].combine_chunks(), vector_array(vectors_UV), pa.array(weight_U)]
    columns += [window[name].combine_chunks() for name in ("impressions", "clicks")]
    return pa.Table.from_arrays(columns, schema=USERS), int(norms_U.sum())


def scaled_users(users: pa.Table, width: int, factor: float) -> pa.Table:
    """The same users with their vectors times a factor."""
    vectors_UV = (vector_matrix(users["vector"], width).astype(np.float64) * factor).astype(np.float32)
    return users.set_column(users.schema.get_field_index("vector"), USERS.field("vector"), vector_array(vectors_UV))


def _add(part: Part, rows_L: Ints, vector_UV: Ints, numbers: dict[str, Ints], scale: Scale) -> None:
    table, growth = part.table, scale.growth(part.day)
    if not len(table):
        return
    decayed_LV = vector_matrix(table["vector_sum"], vector_UV.shape[1]).astype(np.float64) * growth
    vector_UV[rows_L] += part.sign * _whole(decayed_LV, scale.bits)
    numbers["information"][rows_L] += part.sign * _whole(table["weight"].to_numpy() * growth, scale.bits)
    for name in ("impressions", "clicks"):
        numbers[name][rows_L] += part.sign * table[name].to_numpy()


def _whole(values: NDArray[np.float64], bits: int) -> Ints:
    """Fixed point; one pass less than clipping where nothing is near the limit."""
    limit = _LARGEST / 2.0**bits
    return fixed_point(np.clip(values, -limit, limit) if np.abs(values).max(initial=0.0) >= limit else values, bits)


def _rows(users: pa.StringArray, column: pa.ChunkedArray) -> Ints:
    return np.asarray(pc.index_in(column, value_set=users).to_numpy(), dtype=np.int64)
