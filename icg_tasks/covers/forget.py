"""Users who asked to be forgotten leave the indexes of former dates too, which could be rolled back to.

The day's own index is made without them. Called at the end of publish-covers; the certificate of intake.erasure says what was
removed. An index is made again from that date's segments and manifest, the manifest names it, and the former file goes. Knows
dates and files; no image.
"""

from dataclasses import replace
from datetime import date

import pyarrow as pa

from icg_tasks.contracts import partitions as keys
from icg_tasks.covers.commit import write_day_index
from icg_tasks.covers.index import user_key
from icg_tasks.covers.index_cache import open_index
from icg_tasks.covers.pointer import (
    INDEX_KEY,
    USER_SEGMENTS_KEY,
    PublishConflict,
    current_pointer,
    move_current,
    pointer_from,
    pointer_to,
)
from icg_tasks.lake.certificates import read_certificate, write_certificate
from icg_tasks.lake.partitions import (
    Partition,
    commit_partition,
    find_partition,
    list_partition_dates,
    manifest_bytes,
    manifest_key,
    read_partition,
)
from icg_tasks.stage import StageContext


def forget_erased(context: StageContext) -> int:
    """Remove users whom no certificate says to be gone from covers; how many indexes were made again."""
    store = context.store
    asked = {
        day: read_partition(store, keys.ERASURES, day)["user_id"].to_pylist()
        for day in list_partition_dates(store, keys.ERASURES)
    }
    pending = {day: names for day, names in asked.items() if not read_certificate(store, day).get("covers_finished")}
    if not pending:
        return 0
    names = sorted({name for mine in pending.values() for name in mine})
    changed: dict[str, dict[str, int]] = {}
    for day in list_partition_dates(store, keys.COVER_MANIFESTS):
        if day == context.run_date:
            continue  # made without them
        counts = _forget_in(context, day, names)
        if counts is not None:
            changed[day.isoformat()] = counts
    left = _remove_left_overs(context, names)
    for day in pending:
        body = read_certificate(store, day)
        former = body.get("covers", {})
        write_certificate(store, day, body | {"covers": {**changed, **former}, "covers_finished": True})
    context.say(
        f"{len(names)} users who asked for it are gone from covers; {len(changed)} former indexes made again, "
        f"{left} left-overs deleted"
    )
    return len(changed)


def _remove_left_overs(context: StageContext, names: list[str]) -> int:
    """Delete indexes that no manifest names any more and that one of these users is in; how many."""
    store = context.store
    pointers = [pointer_to(store, day) for day in list_partition_dates(store, keys.COVER_MANIFESTS)]
    up = current_pointer(store)
    named = {pointer.index.key for pointer in [*pointers, *([up] if up else [])] if pointer.index is not None}
    wanted = [user_key(name) for name in names]
    removed = 0
    for key in [key for key in store.list(f"{keys.COVER_INDEXES}/") if key not in named]:
        data = store.get(key)
        if any(word in data for word in wanted):
            store.delete(key)
            removed += 1
    return removed


def _forget_in(context: StageContext, day: date, names: list[str]) -> dict[str, int] | None:
    """Users in a date's index before and after, None where none of these was in it. Raises PublishConflict."""
    store = context.store
    etag = store.etag(manifest_key(keys.COVER_MANIFESTS, day))
    pointer = pointer_to(store, day)
    if pointer.index is None or not store.exists(pointer.index.key):
        return None
    index = open_index(store, pointer.index, None)
    if not any(index.segment(name) is not None for name in names):
        return None
    before = index.rows[0]
    partition = find_partition(store, keys.COVER_MANIFESTS, day)
    users = find_partition(store, keys.USER_SEGMENTS, day) or Partition(
        dataset=keys.USER_SEGMENTS, run_date=day, files=[], metadata={}
    )
    if partition is None:
        return None
    covers: pa.Table = read_partition(store, keys.COVER_MANIFESTS, day)
    made, rows = write_day_index(replace(context, run_date=day), users, covers)
    metadata = {**partition.metadata, USER_SEGMENTS_KEY: [vars(file) for file in users.files], INDEX_KEY: vars(made)}
    renewed = replace(partition, metadata=metadata)
    if not commit_partition(store, renewed, etag):
        raise PublishConflict(f"somebody published {day} while users were removed from it; run icg publish-covers again")
    up = current_pointer(store)
    if up is not None and up.day == day:
        move_current(store, pointer_from(manifest_bytes(renewed), day))
    if made.key != pointer.index.key:
        store.delete(pointer.index.key)
    return {"before": before, "after": rows}
