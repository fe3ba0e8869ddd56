"""Everything the store keeps row by row of a user, wherever it lies: found by its schema, changed file by file.

A data set below clean/ or features/ with a ``user_id`` column is one, so a new one is found by itself; quarantined rows are the
other kind. A changed partition replaces the former one whole, and files that no longer belong to it go: a user who left must
not live on in a file that nobody lists. Does not know why rows change.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.partitions import (
    COVER_FEATURES,
    ITEM_FACTORS,
    ITEM_FEATURES,
    ITEMS,
    PARTITION_MANIFEST,
    QUARANTINE_IMPRESSIONS,
    SEGMENTS,
    partition_prefix,
)
from icg_tasks.intake.raw import OWN_WRITER
from icg_tasks.lake.partitions import (
    Partition,
    PartitionFile,
    find_partition,
    finish_partition,
    list_partition_dates,
    read_partition_file,
    write_partition_part,
)
from icg_tasks.lake.store import ObjectStore

PLACES = ("clean/", "features/")
_WITHOUT_USERS = {ITEMS, ITEM_FEATURES, ITEM_FACTORS, COVER_FEATURES, SEGMENTS}  # known to have none, and large
USER = "user_id"
HELD = "row_json"  # where a quarantined row keeps its user

Change = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, kw_only=True)
class UserPartition:
    """One day of a data set that has rows of users, and the column that names them."""

    partition: Partition
    column: str

    @property
    def dataset(self) -> str:
        """Its data set."""
        return self.partition.dataset

    @property
    def day(self) -> date:
        """Its day."""
        return self.partition.run_date


def user_partitions(store: ObjectStore) -> Iterator[UserPartition]:
    """Every one there is, by data set and day."""
    for dataset in user_datasets(store):
        column = HELD if dataset == QUARANTINE_IMPRESSIONS else USER
        for day in list_partition_dates(store, dataset):
            found = find_partition(store, dataset, day)
            if found is not None:
                yield UserPartition(partition=found, column=column)


def user_datasets(store: ObjectStore) -> list[str]:
    """Names of the data sets with rows of users: those below clean/ and features/ with a user_id column, and quarantine."""
    manifests = (key for place in PLACES for key in store.list(place) if key.endswith(f"/{PARTITION_MANIFEST}"))
    names = sorted({key.partition("/ds=")[0] for key in manifests} - _WITHOUT_USERS)
    found = [name for name in names if _has_users(store, name)]
    return [*found, *([QUARANTINE_IMPRESSIONS] if list_partition_dates(store, QUARANTINE_IMPRESSIONS) else [])]


def _has_users(store: ObjectStore, dataset: str) -> bool:
    for day in reversed(list_partition_dates(store, dataset)):
        partition = find_partition(store, dataset, day)
        if partition is not None and partition.files:
            return USER in read_partition_file(store, partition.files[0], None).schema.names
    return False


def change_partition(
    store: ObjectStore,
    found: UserPartition,
    change: Change,
    *,
    metadata: Callable[[Sequence[pa.Table]], Mapping[str, Any]] | None = None,
) -> bool:
    """Put every file of a partition through ``change``; False where that changes nothing.

    Files keep their number and, where they were sorted by user, that order; a file without rows left goes. ``metadata``: what
    the manifest says of the changed tables, where that follows from them.
    """
    partition, files, tables, changed = found.partition, [], [], False
    for position, file in enumerate(partition.files):
        table = read_partition_file(store, file, None)
        after = change(table)
        if after.equals(table):
            files.append(file)
            tables.append(table)
            continue
        changed = True
        after = (after.sort_by(USER) if _by_user(table) else after).combine_chunks()
        if after.num_rows or len(partition.files) == 1:
            number = _number(file.key, position)
            files.append(write_partition_part(store, found.dataset, found.day, number, after, schema=table.schema))
            tables.append(after)
    said = partition.metadata if metadata is None else dict(metadata(tables))
    if not changed and said == partition.metadata:
        return False
    if not files:
        schema = read_partition_file(store, partition.files[0], None).schema
        files = [write_partition_part(store, found.dataset, found.day, 0, schema.empty_table(), schema=schema)]
    finish_partition(store, found.dataset, found.day, files, metadata=said)
    remove_unlisted(store, found.dataset, found.day, files)
    return True


def remove_unlisted(store: ObjectStore, dataset: str, day: date, listed: Sequence[PartitionFile]) -> int:
    """Delete data files of a day that its manifest no longer lists; how many."""
    kept, removed = {file.key for file in listed}, 0
    for key in list(store.list(f"{partition_prefix(dataset, day)}/{OWN_WRITER}")):
        if key not in kept:
            store.delete(key)
            removed += 1
    return removed


def names_in(table: pa.Table) -> pa.Array:
    """The keyed hash of each row's user, null where it names none."""
    column = table.column(USER if USER in table.schema.names else HELD)
    text = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
    if USER in table.schema.names:
        return text
    return pc.struct_field(pc.extract_regex(text, r'"user_id": "(?P<name>[0-9a-f]+)"'), "name")


def remove_left_overs(store: ObjectStore, dataset: str, names: pa.Array) -> int:
    """Delete data files that no manifest of the data set lists and that name one of these users; how many.

    Former versions of a partition, or of a run that never ended.
    """
    listed = {
        file.key
        for day in list_partition_dates(store, dataset)
        if (partition := find_partition(store, dataset, day)) is not None
        for file in partition.files
    }
    removed = 0
    for key in [key for key in store.list(f"{dataset}/ds=") if key.endswith(".parquet") and key not in listed]:
        try:
            data = store.get(key)
            there = names_in(pq.read_table(io.BytesIO(data)))
        except (DataMissing, pa.ArrowException, KeyError):
            continue
        if pc.any(pc.is_in(there, value_set=names)).as_py():
            store.delete(key)
            removed += 1
    return removed


def _number(key: str, position: int) -> int:
    digits = key.rpartition("/")[2].removeprefix(OWN_WRITER)[:5]
    return int(digits) if digits.isdigit() else position


def _by_user(table: pa.Table) -> bool:
    """Whether rows came sorted by user."""
    if USER not in table.schema.names or table.num_rows < 2:
        return False
    users = pa.concat_arrays(table.column(USER).chunks)
    return bool(pc.all(pc.less_equal(users[:-1], users[1:])).as_py())
