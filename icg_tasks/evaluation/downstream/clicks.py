"""Who clicked what, split for an honest test: readers held out, and their later days held out too. Knows no store, no image.

Legend: U readers, I items, N clicks. A reader clicks an item once; the first click counts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.holdout import is_held_out_user

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Clicks:
    """Distinct (reader, item) clicks with the day of the first one, as whole numbers."""

    user_ids: list[str]
    item_ids: list[str]
    user_N: Rows
    item_N: Rows
    day_N: Rows


@dataclass(frozen=True, kw_only=True)
class Split:
    """Clicks of days before ``cut`` are known; held-out readers are asked for what they clicked on it or later.

    ``early_UI`` are the known clicks of days before ``early_cut``: a reader's segment is told from them, training guesses known
    clicks after them. Told from the click to be guessed, a segment would give it away.

    ``known_UI`` covers all readers, training uses the rows of ``train_U``. ``target_UI`` is filled for test and validation
    readers only; an item known is never a target.
    """

    early_cut: int
    cut: int
    early_UI: NDArray[np.bool_]
    known_UI: NDArray[np.bool_]
    target_UI: NDArray[np.bool_]
    train_U: Rows
    validation_U: Rows  # learning never sees them: when to stop is decided on their later days
    test_U: Rows


def split_clicks(clicks: Clicks, *, early_share: float = 0.45, known_share: float = 0.7) -> Split:
    """Split by reader (``contracts.holdout``, as the preference model's training has it) and by day.

    ``known_share`` of all clicks lie before the cut, ``early_share`` before the early cut. Readers without an early click are
    left out; so are training readers without a known click after it, and held-out readers without a later one.

    Raises:
        DataMissing: no reader is left to learn from or to ask.
    """
    count = (len(clicks.user_ids), len(clicks.item_ids))
    cut = _cut(clicks.day_N, known_share)
    early_cut = min(_cut(clicks.day_N, early_share), cut - 1)
    early, known, later = (np.zeros(count, dtype=bool) for _ in range(3))
    for days, matrix in ((clicks.day_N < early_cut, early), (clicks.day_N < cut, known), (clicks.day_N >= cut, later)):
        matrix[clicks.user_N[days], clicks.item_N[days]] = True
    later &= ~known
    held_out = np.array([is_held_out_user(user_id) for user_id in clicks.user_ids])
    enough = early.any(axis=1)
    asked = enough & later.any(axis=1)
    tested = held_out & asked
    validating = ~held_out & asked & (np.arange(count[0]) % 10 == 0)
    train = ~held_out & enough & ~validating & (known & ~early).any(axis=1)
    if not train.any() or not tested.any() or not validating.any():
        raise DataMissing(
            f"{int(train.sum())} readers to learn from, {int(validating.sum())} to stop by and {int(tested.sum())} held out "
            f"with a click on day {cut} or later; simulate or ingest more readers or days"
        )
    later[~(tested | validating)] = False
    return Split(
        early_cut=early_cut,
        cut=cut,
        early_UI=early,
        known_UI=known,
        target_UI=later,
        train_U=np.flatnonzero(train),
        validation_U=np.flatnonzero(validating),
        test_U=np.flatnonzero(tested),
    )


def _cut(day_N: Rows, share: float) -> int:
    """The first day before which at least ``share`` of the clicks lie; the last day where none does."""
    days = np.unique(day_N)
    if len(days) < 2:
        raise DataMissing(f"clicks of {len(days)} day; a split by time needs at least two")
    before = np.array([(day_N < day).mean() for day in days])
    return int(days[-1] if before[-1] < share else days[int(np.argmax(before >= share))])
