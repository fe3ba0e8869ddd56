"""What happens to a user's id on its way in: the raw id becomes a keyed hash, and whoever asked to be forgotten stays out.

Knows keys and hashes; no file and no data set.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from icg_tasks.contracts.pseudonym import former_pseudonym_key, pseudonym, pseudonym_key
from icg_tasks.intake.columns import Bools, Column
from icg_tasks.intake.windows import day_end_ms


@dataclass(frozen=True, kw_only=True)
class Door:
    """``former``: the key before this one while keys are changed. ``hashed``: ids that come are keyed hashes already.

    ``erased``: keyed hash → the last day of which nothing may be kept of that user.
    """

    key: bytes
    former: bytes | None = None
    hashed: bool = False
    erased: Mapping[str, date] = field(default_factory=dict)

    def name(self, user_id: str) -> str:
        """The keyed hash of an id that came."""
        return user_id if self.hashed else pseudonym(user_id, self.key)

    def named(self, users: Column) -> Column:
        """The column with a keyed hash in place of each id."""
        encoded = users.values.dictionary_encode()
        names = pa.array([None if raw is None else self.name(raw) for raw in encoded.dictionary.to_pylist()], pa.string())
        return Column(values=names.take(encoded.indices), missing=users.missing, malformed=users.malformed)

    def moves(self, users: Column) -> dict[str, str]:
        """Hash under the former key → hash under this one, of every id that came; empty outside a change of keys."""
        if self.former is None or self.hashed:
            return {}
        former = self.former
        ids = [raw for raw in users.values.unique().to_pylist() if raw is not None]
        return {pseudonym(raw, former): pseudonym(raw, self.key) for raw in ids}

    def kept_out(self, names: Column, shown_at: Column, day: date) -> Bools:
        """Rows of users who asked to be forgotten after they were shown (``names`` as ``named`` gives them).

        A row whose time cannot be read, or is after ``day``, counts as shown on ``day``, when it arrived.
        """
        gone = np.zeros(len(names.missing), dtype=bool)
        if not self.erased:
            return gone
        encoded = names.values.dictionary_encode()
        ends = [day_end_ms(self.erased[name]) if name in self.erased else -1 for name in encoded.dictionary.to_pylist()]
        if max(ends, default=-1) < 0:
            return gone
        known = names.values.is_valid().to_numpy(zero_copy_only=False)
        end = np.array(ends, dtype=np.int64)[encoded.indices.fill_null(0).to_numpy()]
        arrived = day_end_ms(day) - 1
        shown = np.where(shown_at.usable, np.minimum(shown_at.values, arrived), arrived)
        found: Bools = known & (shown < end)
        return found


def open_door() -> Door:
    """The door under the keys of the environment, nobody erased; raises SettingsError."""
    return Door(key=pseudonym_key(), former=former_pseudonym_key())
