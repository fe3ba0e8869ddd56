"""Looks at every image of a day before it is published: each is there, whole, what its row says, and no other item's cover.

Reads the store with many threads; knows rows and checks, no manifest and no pointer.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.covers.checks import MAX_BLOB_BYTES, Fingerprint, examine_blob
from icg_tasks.covers.gather import Collected
from icg_tasks.covers.likeness import Owned, near_duplicates
from icg_tasks.covers.signing import LateSigner
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

NEAR_DUPLICATE = "near_duplicate"
_READERS = 16
_CHUNK = 512
_NAMED = 3

Row = dict[str, Any]


def examined(context: StageContext, collected: Collected) -> Collected:
    """The same without near-duplicates of other items' covers; raises DataCorrupt naming the first images with a fault."""
    seen = _fingerprints(context, collected.rows)
    most = context.settings.covers.near_duplicate_levels
    repeats = near_duplicates(collected.rows, seen, most) if most > 0 else {}
    if not repeats:
        return collected
    for (item, _), (other, cover_id) in sorted(repeats.items())[:_NAMED]:
        context.say(f"a cover of {item} stays out: it repeats one of {other} ({cover_id[:12]})")
    day = context.run_date.isoformat()
    dropped = [row for row in collected.rows if _owned(row) in repeats]
    return replace(
        collected,
        rows=[row for row in collected.rows if _owned(row) not in repeats],
        rejected=collected.rejected + Counter({NEAR_DUPLICATE: len(dropped)}),
        made=collected.made - sum(row["made_on"] == day for row in dropped),
    )


def _owned(row: Row) -> Owned:
    return row["item_id"], row["cover_id"]


def _fingerprints(context: StageContext, rows: list[Row]) -> dict[str, Fingerprint]:
    """What each distinct cover looks like."""
    distinct = list({row["cover_id"]: row for row in rows}.values())
    faults, seen, signer = [], {}, LateSigner.configured(context)
    with ThreadPoolExecutor(_READERS) as pool:
        chunks = iter(distinct)
        while chunk := list(islice(chunks, _CHUNK)):
            for row, found in zip(chunk, pool.map(lambda row: _examine(context.store, row, signer), chunk), strict=True):
                if isinstance(found, str):
                    faults.append(f"{row['blob']}: {found}")
                else:
                    seen[row["cover_id"]] = found
            context.stop.check("nothing is published yet")
    if faults:
        raise DataCorrupt(
            f"{len(faults)} of {len(distinct)} cover images cannot be published ({'; '.join(faults[:_NAMED])}); nothing is "
            f"published. Delete those objects, then run icg plan-covers and icg generate-covers for {context.run_date} again"
        )
    if signer is not None and signer.signed:
        context.say(f"{signer.signed} covers that were stored unsigned are signed now")
    return seen


def _examine(store: ObjectStore, row: Row, signer: LateSigner | None) -> str | Fingerprint:
    if row["blob"] != keys.blob_key(row["cover_id"]):
        return f"is not the place of cover {row['cover_id']}"
    try:
        size = store.size(row["blob"])
        if size > MAX_BLOB_BYTES:
            return f"{size} bytes, at most {MAX_BLOB_BYTES}"
    except DataMissing:
        return "is not there"
    stored = store.get_with_etag(row["blob"])
    if stored is None:
        return "is not there"
    found = examine_blob(stored[0], row)
    if signer is not None and isinstance(found, Fingerprint):
        signer.sign(row, *stored)
    return found
