"""What Pigeon learns from: windows of six covers that one user clicked, five of them history, the sixth the target.

Users and items held out for evaluation are in no window; a tenth of the others' users choose checkpoints, so the split is by
user; nothing dated after the run date is read. A click on a generated cover is left out: the history is of items' own covers.
Reads clean/impressions. Knows no model. Legend: W windows, H history.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.holdout import is_held_out_user
from icg_tasks.contracts.partitions import IMPRESSIONS
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.stage import StageContext

ASIDE_SHARE = 0.1
_FEWEST = 4
_MOST_ROWS = 20_000_000
_COLUMNS = ("user_id", "item_id", "shown_at", "impression_id", "cover_id", "clicked")


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Rows of a catalogue: ``history_WH`` in the order of the clicks, and the click after them."""

    history_WH: NDArray[np.int64]
    target_W: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.target_W)

    def part(self, rows: Sequence[int]) -> "Windows":
        """Some of the windows."""
        return Windows(history_WH=self.history_WH[list(rows)], target_W=self.target_W[list(rows)])


def read_windows(context: StageContext, catalogue: Catalogue) -> tuple[Windows, Windows]:
    """Windows to learn on and windows to choose checkpoints by, both in a stable random order.

    At most ``pigeon.max_windows`` of the former, an eighth of that of the latter. Raises DataMissing where there are fewer than
    four of either.
    """
    settings = context.settings.pigeon
    clicks = _clicks(context, {item: row for row, item in enumerate(catalogue.item_ids)})
    learned: list[tuple[float, list[int]]] = []
    aside: list[tuple[float, list[int]]] = []
    for user, rows in sorted(clicks.items()):
        mine = aside if _share("aside", user) < ASIDE_SHARE else learned
        length = settings.history_length + 1
        mine += [(_share(f"window-{at}", user), rows[at : at + length]) for at in range(len(rows) - length + 1)]
    if min(len(learned), len(aside)) < _FEWEST:
        raise DataMissing(
            f"Pigeon needs windows of {settings.history_length + 1} clicks by one user on items' own covers, {_FEWEST} or more "
            f"to learn on and to choose by; {IMPRESSIONS} up to {context.run_date} has {len(learned)} and {len(aside)}; give "
            "more days (features.window_days) or a shorter history (pigeon.history_length)"
        )
    return _windows(learned, settings.max_windows), _windows(aside, max(_FEWEST, settings.max_windows // 8))


def _clicks(context: StageContext, rows: dict[str, int]) -> dict[str, list[int]]:
    """Catalogue rows that each user clicked, in the order of time, the same item once in a row.

    Of more than twenty million impressions, those of a stable share of users.
    """
    days = [context.run_date - timedelta(days=back) for back in range(context.settings.features.window_days)]
    there = {day: part for day in days if (part := find_partition(context.store, IMPRESSIONS, day)) is not None}
    share = _MOST_ROWS / max(_MOST_ROWS, sum(part.rows for part in there.values()))
    known = pa.array(sorted(rows), pa.string())
    found: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for day in there:
        table = read_partition(context.store, IMPRESSIONS, day, _COLUMNS)
        table = table.filter(pc.and_(table["clicked"], pc.is_null(table["cover_id"])))
        table = table.filter(pc.is_in(table["item_id"], value_set=known))
        users = [user for user in pc.unique(table["user_id"]).to_pylist() if not is_held_out_user(user)]
        kept = pa.array([user for user in users if share == 1.0 or _share("sample", user) < share], pa.string())
        for row in table.filter(pc.is_in(table["user_id"], value_set=kept)).to_pylist():
            found[row["user_id"]].append((row["shown_at"].isoformat(), row["impression_id"], rows[row["item_id"]]))
    ordered = {user: [row for _, _, row in sorted(events)] for user, events in found.items()}
    return {user: [row for at, row in enumerate(seen) if at == 0 or row != seen[at - 1]] for user, seen in ordered.items()}


def _windows(found: list[tuple[float, list[int]]], most: int) -> Windows:
    whole = np.array([rows for _, rows in sorted(found)[:most]], dtype=np.int64)
    return Windows(history_WH=whole[:, :-1], target_W=whole[:, -1])


def _share(purpose: str, user_id: str) -> float:
    digest = hashlib.sha256(f"pigeon/{purpose}/{user_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
