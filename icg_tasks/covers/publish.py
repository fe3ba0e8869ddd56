"""Stage publish-covers: collects what was made and what is kept, verifies every image, writes the manifest, moves current.json.

Nothing is visible before all of it is verified; what is amiss is named and yesterday's covers stay up. A back-filled past date
gets its manifest and leaves current.json alone. Run: ``icg publish-covers --run-date YYYY-MM-DD``.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

import pyarrow as pa

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, GateRefused
from icg_tasks.contracts.schemas import COVER_FEATURES, COVER_MANIFEST, EVERYONE
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.covers.checks import MAX_BLOB_BYTES, blob_fault
from icg_tasks.covers.pointer import USER_SEGMENTS_KEY, move_current, pointer_to
from icg_tasks.covers.shards import pair_key, require_shard
from icg_tasks.lake.partitions import find_partition, read_partition, write_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

_READERS = 16
_CHUNK = 512
_NAMED = 3

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Collected:
    """Manifest rows, image vector of each cover id, and how many covers were rejected for which reason."""

    rows: list[Row]
    vectors: dict[str, list[float]]
    rejected: Counter[str]
    made: int


def run(context: StageContext) -> StageOutcome:
    """Write covers/v1/manifests and features/covers of the run date; move current.json forward."""
    store, day = context.store, context.run_date
    plan = _plan(store, day)
    collected = _collect(context, plan)
    _check_rejections(context, collected)
    _verify(context, collected.rows)
    manifest = _write(context, collected)
    up = move_current(store, pointer_to(store, day), backwards=context.settings.covers.move_current_backwards)
    context.say(
        f"{manifest} covers published for {day}; current.json " + ("names it" if up else "stays with a later date (back-fill)")
    )
    personalised = sum(row["segment_id"] != EVERYONE for row in collected.rows)
    counts = {"published": manifest, "personalised": personalised, "made": collected.made, "kept": manifest - collected.made}
    counts |= {"rejected": collected.rejected.total()}
    outputs = [keys.partition_prefix(name, day) for name in (keys.COVER_MANIFESTS, keys.COVER_FEATURES)]
    figures: dict[str, Any] = {"current": up, "rejected": dict(sorted(collected.rejected.items()))}
    figures |= {f"mean_{name}": _mean(collected.rows, name) for name in ("preference", "relevance", "aesthetic")}
    return StageOutcome(outputs=[*outputs, *([keys.COVERS_CURRENT] if up else [])], counts=counts, figures=figures)


def _plan(store: ObjectStore, day: date) -> list[Row]:
    rows = read_partition(store, keys.COVER_PLANS, day).to_pylist()
    if not rows:
        raise DataMissing(f"the plan of covers for {day} is empty; run icg plan-covers for that date again")
    return list(rows)


def _collect(context: StageContext, plan: list[Row]) -> Collected:
    """Rows of all shards of the plan, and kept rows; each exactly what the plan asks for."""
    store, day = context.store, context.run_date
    by_shard: dict[int, list[Row]] = {}
    for row in plan:
        if row["shard"] is not None:
            by_shard.setdefault(row["shard"], []).append(row)
    rows, vectors, rejected = _kept(context, [row for row in plan if row["shard"] is None])
    made = 0
    for shard, planned in sorted(by_shard.items()):
        found = {pair_key(row): row for row in require_shard(store, day, shard, planned)}
        for wanted in planned:
            answer = found.get(pair_key(wanted))
            if answer is None or answer["request_hash"] != wanted["request_hash"]:
                raise DataCorrupt(
                    f"shard {shard} of {day} lacks {pair_key(wanted)}; run icg generate-covers --shard {shard} again"
                )
            if answer["rejected"] is not None:
                rejected[answer["rejected"]] += 1
                continue
            vectors[answer["cover_id"]] = answer["vector"]
            rows.append({name: answer[name] for name in COVER_MANIFEST.names})
            made += 1
    return Collected(rows=sorted(rows, key=pair_key), vectors=vectors, rejected=rejected, made=made)


def _kept(context: StageContext, planned: list[Row]) -> tuple[list[Row], dict[str, list[float]], Counter[str]]:
    """Rows and vectors that the plan takes over from the manifest it names."""
    if not planned:
        return [], {}, Counter()
    partition = find_partition(context.store, keys.COVER_PLANS, context.run_date)
    source = partition.metadata.get("kept_from") if partition else None
    if source is None:
        raise DataCorrupt(
            f"the plan of {context.run_date} keeps covers but names no date they are from; run icg plan-covers again"
        )
    former = date.fromisoformat(source)
    known = {row["request_hash"]: row for row in read_partition(context.store, keys.COVER_MANIFESTS, former).to_pylist()}
    features = read_partition(context.store, keys.COVER_FEATURES, former, ["cover_id", "vector"]).to_pylist()
    vector_of = {row["cover_id"]: row["vector"] for row in features}
    rows, vectors = [], {}
    for wanted in planned:
        row = known.get(wanted["request_hash"])
        if row is None or row["cover_id"] != wanted["kept_cover_id"] or row["cover_id"] not in vector_of:
            raise DataCorrupt(
                f"the manifest of {former} no longer holds the cover planned to be kept for {pair_key(wanted)}; "
                f"run icg plan-covers for {context.run_date} again"
            )
        rows.append(row)
        vectors[row["cover_id"]] = vector_of[row["cover_id"]]
    return rows, vectors, Counter()


def _check_rejections(context: StageContext, collected: Collected) -> None:
    total = collected.made + collected.rejected.total()
    limit = context.settings.covers.max_rejected_share
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(collected.rejected.items()))
    if total and collected.rejected.total() > limit * total:
        raise GateRefused(
            f"{collected.rejected.total()} of {total} covers made for {context.run_date} were rejected ({reasons}), more than "
            f"covers.max_rejected_share {limit}; nothing is published. Look at the last gates of the adapter and the denoiser"
        )
    if not collected.rows:
        raise GateRefused(f"no cover is left to publish for {context.run_date} ({reasons or 'nothing planned'})")


def _verify(context: StageContext, rows: list[Row]) -> None:
    """Every image exists, is what its name says, and decodes within bounds; raises DataCorrupt naming the first that do not."""
    distinct = list({row["cover_id"]: row for row in rows}.values())
    faults = []
    with ThreadPoolExecutor(_READERS) as pool:
        chunks = iter(distinct)
        while chunk := list(islice(chunks, _CHUNK)):
            found = pool.map(lambda row: _fault(context.store, row), chunk)
            faults += [f"{row['blob']}: {fault}" for row, fault in zip(chunk, found, strict=True) if fault]
            context.stop.check("nothing is published yet")
    if faults:
        raise DataCorrupt(
            f"{len(faults)} of {len(distinct)} cover images cannot be published ({'; '.join(faults[:_NAMED])}); nothing is "
            f"published. Delete those objects, then run icg plan-covers and icg generate-covers for {context.run_date} again"
        )


def _fault(store: ObjectStore, row: Row) -> str | None:
    if row["blob"] != keys.blob_key(row["cover_id"]):
        return f"is not the place of cover {row['cover_id']}"
    try:
        size = store.size(row["blob"])
        if size > MAX_BLOB_BYTES:
            return f"{size} bytes, at most {MAX_BLOB_BYTES}"
        return blob_fault(store.get(row["blob"]), row)
    except DataMissing:
        return "is not there"


def _write(context: StageContext, collected: Collected) -> int:
    """Features first, the manifest last."""
    store, day = context.store, context.run_date
    users = find_partition(store, keys.USER_SEGMENTS, day)
    if users is None:
        raise DataMissing(
            f"no {keys.USER_SEGMENTS} for {day}: readers could not find a user's segment; run icg assign-segments"
        )
    item_of = {row["cover_id"]: row["item_id"] for row in reversed(collected.rows)}
    features = [{"cover_id": name, "item_id": item_of[name], "vector": collected.vectors[name]} for name in sorted(item_of)]
    table = pa.Table.from_pylist(features, schema=COVER_FEATURES)
    write_partition(store, keys.COVER_FEATURES, day, [table], schema=COVER_FEATURES)
    metadata = {USER_SEGMENTS_KEY: [vars(file) for file in users.files], "rejected": dict(sorted(collected.rejected.items()))}
    manifest = pa.Table.from_pylist(collected.rows, schema=COVER_MANIFEST)
    return write_partition(store, keys.COVER_MANIFESTS, day, [manifest], schema=COVER_MANIFEST, metadata=metadata).rows


def _mean(rows: list[Row], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None and row["segment_id"] != EVERYONE]
    return round(sum(values) / len(values), 6) if values else None
