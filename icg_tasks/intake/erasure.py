"""Who asked to be forgotten, and forgetting them: raw/erasures → clean/erasures, and every row there is of them goes.

A request lies in ``raw/erasures/ds=D`` and covers everything shown to that user up to the end of D; what somebody does later
counts again. Requests of every date are honoured whatever the run date: a back-fill lets nobody in again. What was removed is
told by ``certificates/erasures/ds=D/certificate.json``, written before anything is removed and marked ``finished`` after it:
a run that was killed is taken up where it stopped. Does not know covers: covers.forget removes users from published indexes.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from icg_tasks.contracts.errors import GateRefused
from icg_tasks.contracts.partitions import (
    ERASURES,
    ERASURES_RAW,
    IMPRESSIONS,
    TASTE_DAYS,
    USER_DAYS,
    parse_partition_date,
    partition_prefix,
)
from icg_tasks.contracts.schemas import ERASURES as SCHEMA
from icg_tasks.intake.columns import Kind, parse_table
from icg_tasks.intake.door import Door
from icg_tasks.intake.figures import metadata_after
from icg_tasks.intake.held import held_columns
from icg_tasks.intake.raw import read_raw_day
from icg_tasks.intake.user_rows import (
    HELD,
    Change,
    UserPartition,
    change_partition,
    names_in,
    remove_left_overs,
    user_datasets,
    user_partitions,
)
from icg_tasks.intake.windows import day_end_ms
from icg_tasks.lake.certificates import certificate_key, read_certificate, write_certificate
from icg_tasks.lake.partitions import find_partition, list_partition_dates, read_partition, read_partition_file, write_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext


def honour_erasures(context: StageContext, door: Door, *, everywhere: bool = False) -> dict[str, date]:
    """Take note of all requests and remove whom no finished certificate names; who is erased, and up to which day.

    ``everywhere``: look again for users who were removed before. Raises GateRefused where a request cannot be read.
    """
    store = context.store
    for day in sorted({day for key in store.list(f"{ERASURES_RAW}/") if (day := parse_partition_date(key)) is not None}):
        _note_requests(context, door, day)
    days = list_partition_dates(store, ERASURES)
    asked = {day: read_partition(store, ERASURES, day).column("user_id").to_pylist() for day in days}
    for day, names in asked.items():
        certificate = read_certificate(store, day)
        done = set() if everywhere or not certificate.get("finished") else set(certificate["users"])
        if set(names) - done:
            _remove(context, day, certificate, sorted(set(names) - done))
    return erased_users(store)


def erased_users(store: ObjectStore) -> dict[str, date]:
    """Everybody who ever asked (keyed hash), and the last day that is covered; the latest request of a user counts."""
    days = list_partition_dates(store, ERASURES)
    return {name: day for day in days for name in read_partition(store, ERASURES, day).column("user_id").to_pylist()}


def _note_requests(context: StageContext, door: Door, day: date) -> None:
    """raw/erasures of a day → clean/erasures, added to what is there (the platform may delete its requests)."""
    store = context.store
    raw = read_raw_day(store, ERASURES_RAW, day, max_file_bytes=context.settings.intake.max_raw_file_bytes)
    faults = [f"{file.key}: {file.detail}" for file in raw.bad_files]
    names: set[str] = set()
    for key, table in raw.tables.items():
        users = parse_table(table, {"user_id": Kind.TEXT})["user_id"]
        unread = int((~users.usable).sum())
        if unread:
            faults.append(f"{key}: {unread} of {table.num_rows} rows without a readable user_id")
        names |= {name for name in door.named(users).values.to_pylist() if name is not None}
        names |= set(door.moves(users))
    if faults:
        raise GateRefused(
            f"requests for erasure of {day} cannot be read, so the day cannot go on: {' | '.join(faults)}. Deliver them "
            f"again as Parquet with a column user_id below {store.address(partition_prefix(ERASURES_RAW, day))}"
        )
    former = find_partition(store, ERASURES, day)
    known = set(read_partition(store, ERASURES, day).column("user_id").to_pylist()) if former else set()
    if names - known or former is None:
        table = pa.table({"user_id": sorted(names | known)}, schema=SCHEMA)
        write_partition(store, ERASURES, day, [table], schema=SCHEMA)


def _remove(context: StageContext, day: date, certificate: dict[str, Any], names: list[str]) -> None:
    """Plan, certify, remove, certify that it is done."""
    store, wanted = context.store, pa.array(names, pa.string())
    places = sorted(
        (found for found in user_partitions(store) if found.dataset != ERASURES),
        key=lambda found: found.column != HELD,  # what is held first: a clean partition says how many rows that is
    )
    if certificate.get("finished", True) or not set(names) <= set(certificate["users"]):
        certificate = _planned(store, day, certificate, places, wanted)
        write_certificate(store, day, certificate)
    for found in places:
        context.stop.check("a certificate says what is still to be removed")
        change_partition(store, found, _without(found, wanted, day), metadata=metadata_after(store, found))
    left = sum(remove_left_overs(store, dataset, wanted) for dataset in user_datasets(store) if dataset != ERASURES)
    write_certificate(store, day, certificate | {"finished": True})
    rows = sum(entry["before"] - entry["after"] for days in certificate["data_sets"].values() for entry in days.values())
    context.say(
        f"{len(names)} users of {day} forgotten: {rows} rows in {len(certificate['data_sets'])} data sets, {left} left-over "
        f"files; {store.address(certificate_key(day))}"
    )


def _without(found: UserPartition, wanted: pa.Array, day: date) -> Change:
    return lambda table: table.filter(pc.invert(_gone(found, table, wanted, day)))


def _planned(
    store: ObjectStore, day: date, former: Mapping[str, Any], places: list[UserPartition], wanted: pa.Array
) -> dict[str, Any]:
    """What will be removed, by data set and day and by user, on top of what a former certificate says."""
    data_sets: dict[str, dict[str, dict[str, int]]] = {name: dict(days) for name, days in former.get("data_sets", {}).items()}
    users: dict[str, Counter[str]] = {name: Counter(rows) for name, rows in former.get("by_user", {}).items()}
    for name in wanted.to_pylist():
        users.setdefault(name, Counter())
    for found in places:
        removed = 0
        for file in found.partition.files:
            table = read_partition_file(store, file, None)
            gone = names_in(table).filter(_gone(found, table, wanted, day))
            removed += len(gone)
            for entry in gone.value_counts().to_pylist():
                users[entry["values"]][found.dataset] += entry["counts"]
        if removed:
            entry = data_sets.setdefault(found.dataset, {}).setdefault(
                found.day.isoformat(), {"before": found.partition.rows, "after": found.partition.rows}
            )
            entry["after"] = found.partition.rows - removed
    known = {name: former[name] for name in ("covers", "covers_finished") if name in former}
    if set(users) - set(former.get("users", ())):
        known.pop("covers_finished", None)
    return known | {
        "requested": day.isoformat(),
        "users": sorted(users),
        "data_sets": data_sets,
        "by_user": {name: dict(sorted(rows.items())) for name, rows in users.items()},
        "finished": False,
    }


def _gone(found: UserPartition, table: pa.Table, wanted: pa.Array, day: date) -> pa.Array:
    """Rows of these users that a request of ``day`` covers.

    By the row's own time where it has one; days' sums by their day; what is made from many days goes whole, to be made again.
    """
    theirs = pc.fill_null(pc.is_in(names_in(table), value_set=wanted), False)
    if found.dataset == IMPRESSIONS:
        shown = table.column("shown_at").cast(pa.int64()).combine_chunks()
        return pc.and_(theirs, pc.less(shown, day_end_ms(day)))
    if found.column == HELD and found.day > day:
        shown_at = parse_table(held_columns(table, ["shown_at"]), {"shown_at": Kind.TIME})["shown_at"]
        return pc.and_(theirs, pa.array(shown_at.usable & (shown_at.values < day_end_ms(day))))
    if found.dataset in {USER_DAYS, TASTE_DAYS} and found.day > day:
        return pa.array([False] * table.num_rows)
    return theirs
