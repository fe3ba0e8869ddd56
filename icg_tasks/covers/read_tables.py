"""Look-up from the Parquet files that a current.json without an index names: what was published before there were indexes.

Same answers as an index, from dictionaries in memory; loads everything. Knows pyarrow; nothing of who is asked to show what.
"""

import bisect
from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import checked_key
from icg_tasks.contracts.schemas import EVERYONE, USER_SEGMENTS
from icg_tasks.covers.index import Cover
from icg_tasks.covers.pointer import Pointer
from icg_tasks.lake.partitions import PartitionFile, read_partition_file
from icg_tasks.lake.store import ObjectStore

_COVER_COLUMNS = ("segment_id", "item_id", "variant", "cover_id", "blob", "width", "height", "made_on")


class TableLookUp:
    """Everything that one pointer names, immutable."""

    def __init__(self, store: ObjectStore, pointer: Pointer) -> None:
        """Raises DataMissing and DataCorrupt."""
        self.day: date = pointer.day
        self._users = _Users([_table(store, file, ("user_id", "segment_id")) for file in pointer.user_segments])
        self._covers: dict[tuple[str, str, int], Cover] = {}
        for file in pointer.covers:
            for row in _table(store, file, _COVER_COLUMNS).to_pylist():
                key = (row["segment_id"], row["item_id"], row["variant"])
                self._covers[key] = Cover(day=pointer.day, address=store.address(row["blob"]), **row)

    def segment(self, user: str) -> str | None:
        """The segment of a user (keyed hash), or None."""
        return self._users.segment(user)

    def cover(self, user: str, item_id: str, variant: int = 0) -> Cover | None:
        """The cover of the user's segment, else everybody's, else None."""
        segment = self._users.segment(user)
        mine = self._covers.get((segment, item_id, variant)) if segment is not None else None
        return mine or self._covers.get((EVERYONE, item_id, variant))


class _Users:
    """Segment of each user, in Arrow columns sorted by user: about 40 bytes a user."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        whole = pa.concat_tables([USER_SEGMENTS.empty_table(), *tables]).sort_by("user_id")
        self._users = whole["user_id"].combine_chunks()
        self._segments = whole["segment_id"].combine_chunks().dictionary_encode()

    def segment(self, user: str) -> str | None:
        at = bisect.bisect_left(self._users, user, key=lambda value: value.as_py())
        if at == len(self._users) or self._users[at].as_py() != user:
            return None
        return str(self._segments[at].as_py())


def _table(store: ObjectStore, file: PartitionFile, columns: tuple[str, ...]) -> pa.Table:
    checked_key(file.key)
    problem = DataCorrupt(f"{file.key} is no Parquet file with columns {', '.join(columns)}; publish that date again")
    try:
        table = read_partition_file(store, file, columns)
    except pa.ArrowInvalid as error:
        raise problem from error
    if set(columns) - set(table.column_names):
        raise problem
    return table
