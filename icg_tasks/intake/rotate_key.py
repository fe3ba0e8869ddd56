"""Stage rotate-key: what is kept of users moves from the hashes of the former key to those of the new one.

A hash cannot be turned into another one; but wherever a raw id passes by, both are known. This stage lets every raw id pass by
that the platform's raw impressions still hold; validation does the same with each day's own ids while the change lasts
(``ICG_PSEUDONYM_FORMER_KEY`` set). No raw id and no pair of hashes is ever written. Run it once, with both keys set:
``icg rotate-key --run-date 2026-03-01``.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.partitions import IMPRESSIONS, IMPRESSIONS_RAW, parse_partition_date
from icg_tasks.contracts.pseudonym import FORMER_KEY_VARIABLE, key_name
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.columns import Kind, parse_table
from icg_tasks.intake.door import Door, open_door
from icg_tasks.intake.figures import Metadata
from icg_tasks.intake.raw import read_raw_day
from icg_tasks.intake.user_rows import (
    USER,
    UserPartition,
    change_partition,
    names_in,
    remove_left_overs,
    user_datasets,
    user_partitions,
)
from icg_tasks.lake.partitions import find_partition, list_partition_dates
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext


def run(context: StageContext) -> StageOutcome:
    """Move every user whose raw id is in raw/impressions; raises SettingsError without a former key."""
    door = open_door()
    if door.former is None:
        raise SettingsError(
            f"no change of keys is under way: set ICG_PSEUDONYM_KEY to the new key and {FORMER_KEY_VARIABLE} to the one before "
            "it, then run icg rotate-key again"
        )
    days = {parse_partition_date(key) for key in context.store.list(f"{IMPRESSIONS_RAW}/")}
    moves: dict[str, str] = {}
    for day in sorted(day for day in days if day is not None):
        context.stop.check("nothing has moved yet")
        moves |= moves_of(context, door, day)
    counts = move_users(context, door, moves)
    left = users_under(context.store, key_name(door.former))
    context.say(
        f"{counts['users']} users moved in {counts['partitions']} partitions; days that still hold users of the former key: "
        f"{len(left)}{' (they move when they come back, or leave with the window)' if left else ''}"
    )
    return StageOutcome(counts=counts | {"days_with_former_key": len(left)}, figures={"days": left})


def move_users(context: StageContext, door: Door, moves: Mapping[str, str]) -> dict[str, int]:
    """Rename users (hash → hash) wherever the store keeps rows of them; how many of them, and in how many partitions.

    Files that hold a former hash and are listed nowhere are deleted. Doing it again changes nothing.
    """
    if not moves or door.former is None:
        return {"users": 0, "partitions": 0}
    store, former = context.store, pa.array(sorted(moves), pa.string())
    seen: set[str] = set()
    partitions = 0
    for found in user_partitions(store):
        context.stop.check("what has moved stays moved")

        def renamed(table: pa.Table) -> pa.Table:
            names = names_in(table)
            mine = names.filter(pc.is_in(names, value_set=former))
            if not len(mine):
                return table
            seen.update(mine.to_pylist())
            return _renamed(table, moves)

        partitions += change_partition(store, found, renamed, metadata=_metadata(found, moves, key_name(door.key)))
    for dataset in user_datasets(store):
        remove_left_overs(store, dataset, former)
    return {"users": len(seen), "partitions": partitions}


def _metadata(found: UserPartition, moves: Mapping[str, str], key: str) -> Metadata | None:
    """Clean impressions name the key of their users: this one, once all of them have moved."""
    if found.dataset != IMPRESSIONS:
        return None
    moved = pa.array(sorted(set(moves.values())), pa.string())

    def metadata(tables: Sequence[pa.Table]) -> Mapping[str, Any]:
        whole = all(pc.all(pc.is_in(names_in(table), value_set=moved)).as_py() in {True, None} for table in tables)
        return found.partition.metadata | ({"key": key} if whole else {})

    return metadata


def users_under(store: ObjectStore, name: str) -> list[str]:
    """Days of clean impressions that were hashed under the key of this name and whose users have not all moved."""
    days = []
    for day in list_partition_dates(store, IMPRESSIONS):
        partition = find_partition(store, IMPRESSIONS, day)
        if partition is not None and partition.metadata.get("key") == name:
            days.append(day.isoformat())
    return days


def moves_of(context: StageContext, door: Door, day: date) -> dict[str, str]:
    """Former hash → new hash of every user in a day's raw impressions; raises DataMissing where there are none."""
    raw = read_raw_day(context.store, IMPRESSIONS_RAW, day, max_file_bytes=context.settings.intake.max_raw_file_bytes)
    found: dict[str, str] = {}
    for table in raw.tables.values():
        found |= door.moves(parse_table(table, {USER: Kind.TEXT})[USER])
    return found


def _renamed(table: pa.Table, moves: Mapping[str, str]) -> pa.Table:
    """Users by their new names; in quarantined rows inside the JSON."""
    if USER in table.schema.names:
        at = table.schema.get_field_index(USER)
        names = [moves.get(name, name) for name in table.column(USER).to_pylist()]
        return table.set_column(at, table.schema.field(at), pa.array(names, pa.string()))
    at = table.schema.get_field_index("row_json")
    texts = [
        text if name is None else text.replace(f'"user_id": "{name}"', f'"user_id": "{moves.get(name, name)}"', 1)
        for text, name in zip(table.column("row_json").to_pylist(), names_in(table).to_pylist(), strict=True)
    ]
    return table.set_column(at, table.schema.field(at), pa.array(texts, pa.string()))
