"""How a verified day becomes visible: files first, the manifest by one conditional write, current.json by another.

Of two who publish one date at once, the first to write the manifest wins; the other one raises PublishConflict and leaves the
winner's day as it is. Knows rows and keys; no image.
"""

import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing, IcgError
from icg_tasks.contracts.schemas import COVER_FEATURES, COVER_MANIFEST
from icg_tasks.covers.anonymity import small_segments, without
from icg_tasks.covers.gather import FEATURES_KEY, Collected, features_table
from icg_tasks.covers.holds import PUBLISHER_SECONDS
from icg_tasks.covers.index_build import write_index
from icg_tasks.covers.parents import segment_parents
from icg_tasks.covers.pointer import (
    INDEX_KEY,
    USER_SEGMENTS_KEY,
    IndexEntry,
    Pointer,
    PublishConflict,
    move_current,
    pointer_from,
)
from icg_tasks.lake.partitions import (
    Partition,
    PartitionFile,
    commit_partition,
    find_partition,
    finish_partition,
    manifest_bytes,
    manifest_key,
    read_partition_file,
    write_partition_part,
)
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext


@dataclass(frozen=True, kw_only=True)
class Before:
    """How a date stood when its publishing began: the etag of its manifest (None: not published), and when that was."""

    manifest: str | None
    began: float  # time.monotonic()


def look_before(store: ObjectStore, day: date) -> Before:
    """Call it before anything else is read."""
    return Before(manifest=store.etag(manifest_key(keys.COVER_MANIFESTS, day)), began=time.monotonic())


def commit_day(context: StageContext, collected: Collected, before: Before) -> Pointer:
    """Write features, index and manifest; the pointer to what was written. Raises PublishConflict, DataMissing."""
    store, day = context.store, context.run_date
    users = find_partition(store, keys.USER_SEGMENTS, day)
    if users is None:
        raise DataMissing(
            f"no {keys.USER_SEGMENTS} for {day}: readers could not find a user's segment; run icg assign-segments"
        )
    features = write_partition_part(store, keys.COVER_FEATURES, day, 0, features_table(collected), schema=COVER_FEATURES)
    table = pa.Table.from_pylist(collected.rows, schema=COVER_MANIFEST)
    rows = write_partition_part(store, keys.COVER_MANIFESTS, day, 0, table, schema=COVER_MANIFEST)
    metadata = {
        USER_SEGMENTS_KEY: [vars(file) for file in users.files],
        FEATURES_KEY: [vars(features)],
        INDEX_KEY: vars(write_day_index(context, users, table)[0]),
        "rejected": dict(sorted(collected.rejected.items())),
        "versions": collected.versions,
    }
    finish_partition(store, keys.COVER_FEATURES, day, [features])
    partition = Partition(dataset=keys.COVER_MANIFESTS, run_date=day, files=[rows], metadata=metadata)
    if time.monotonic() - before.began > PUBLISHER_SECONDS:
        raise IcgError(f"publishing {day} took longer than {PUBLISHER_SECONDS:.0f} s; nothing is published, run it again")
    if not commit_partition(store, partition, before.manifest):
        _restore_features(store, day)
        raise PublishConflict(_overtaken(day))
    return pointer_from(manifest_bytes(partition), day)


def put_up(context: StageContext, pointer: Pointer) -> bool:
    """Move current.json to what was committed; False where a later date stays up. Raises PublishConflict."""
    store, day = context.store, context.run_date

    def still_mine() -> None:
        found = store.get_with_etag(pointer.manifest)
        if found is None or pointer_from(found[0], day) != pointer:
            raise PublishConflict(_overtaken(day))

    return move_current(store, pointer, backwards=context.settings.covers.move_current_backwards, check=still_mine)


def write_day_index(context: StageContext, users: Partition, covers: pa.Table) -> tuple[IndexEntry, int]:
    """The index of the run date, and how many users are in it; segments too small to be seen are not."""
    store, day = context.store, context.run_date
    columns = ("user_id", "segment_id")
    small = small_segments(context)
    tables = [without(read_partition_file(store, file, columns), small) for file in users.files]
    parents = segment_parents(context, covers)
    with tempfile.TemporaryDirectory(dir=context.scratch()) as folder:  # two may publish one date on one machine
        path = Path(folder) / "index"
        written = write_index(path, day, tables, [covers], parents=parents)
        key = f"{keys.partition_prefix(keys.COVER_INDEXES, day)}/{written.sha256[:16]}.icgindex"
        store.upload(key, path)
    file = IndexEntry(key=key, rows=written.rows, size=written.size, sha256=written.sha256, seal=written.seal)
    return file, sum(table.num_rows for table in tables)


def _restore_features(store: ObjectStore, day: date) -> None:
    """Another publisher's manifest stands, with ours as the features beside it: put theirs back."""
    winner = find_partition(store, keys.COVER_MANIFESTS, day)
    if winner is not None and FEATURES_KEY in winner.metadata:
        files = [PartitionFile(**entry) for entry in winner.metadata[FEATURES_KEY]]
        finish_partition(store, keys.COVER_FEATURES, day, files)


def _overtaken(day: date) -> str:
    return (
        f"another publisher of {day} was first: its covers are published, those of this run are not. Run icg publish-covers "
        f"for {day} again to publish these instead"
    )
