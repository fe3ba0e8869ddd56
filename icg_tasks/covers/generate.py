"""Stage generate-covers: the images of one shard of the plan. Blobs first, then the shard's rows, whole.

Progress is kept item by item, so a stopped or killed run goes on from there; a finished shard is not made again. An item whose
own cover cannot be read costs that item only. Run: ``icg generate-covers --run-date YYYY-MM-DD --shard 0``.
"""

import hashlib
import math
from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.schemas import COVER_MANIFEST, EVERYONE
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.covers.checks import blob_fault
from icg_tasks.covers.finish import Finisher
from icg_tasks.covers.progress import Progress
from icg_tasks.covers.requests import Vector, rounded
from icg_tasks.covers.shards import pair_key, read_shard, shard_dataset, write_shard
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.stage import StageContext

if TYPE_CHECKING:
    from icg_tasks.covers.engine import CoverEngine, CoverRequest, GeneratedCover

_NAMED = 5
UNREADABLE = "own_cover_unreadable"

Row = dict[str, Any]


def run(context: StageContext) -> StageOutcome:
    """Make what the plan asks of this shard; write the blobs and the shard's partition."""
    shard = int(context.arguments["shard"])
    planned = _planned(context, shard)
    finished = read_shard(context.store, context.run_date, shard, planned)
    if finished is not None and all(_stands(context, row) for row in finished):
        context.say(f"shard {shard}: all {len(finished)} covers are there already")
        return _outcome(context, shard, finished, made=0)
    progress = Progress(context, shard, planned)
    todo = [row for row in planned if pair_key(row) not in progress.rows]
    context.say(f"shard {shard}: {len(planned)} covers, {len(planned) - len(todo)} of them saved by an earlier try")
    if todo:
        _make(context, planned, progress)
    rows = list(progress.rows.values())
    write_shard(context.store, context.run_date, shard, rows, planned)
    progress.clear()
    return _outcome(context, shard, rows, made=len(todo))


def _planned(context: StageContext, shard: int) -> list[Row]:
    plan = read_partition(context.store, keys.COVER_PLANS, context.run_date).to_pylist()
    planned = sorted((row for row in plan if row["shard"] == shard), key=lambda row: (row["item_id"], pair_key(row)))
    if not planned:
        shards = sorted({row["shard"] for row in plan if row["shard"] is not None})
        raise DataMissing(f"the plan for {context.run_date} has no shard {shard}; it has {len(shards)}: {shards[:20]}")
    return planned


def _stands(context: StageContext, row: Row) -> bool:
    """Whether a finished row's blob is there, whole."""
    if row["rejected"] is not None:
        return True
    found = context.store.get_with_etag(row["blob"])
    return found is not None and blob_fault(found[0], row) is None


def _make(context: StageContext, planned: list[Row], progress: Progress) -> None:
    """All covers of each item that is not finished, item by item; saves on the way and when asked to stop."""
    from icg_tasks.covers.engine import CoverEngine

    engine = CoverEngine.load(_own_scratch(context))
    _check_versions(context, engine)
    finisher = Finisher.load(context)
    vectors = _vectors(context)
    items = {row["item_id"]: row for row in read_partition(context.store, keys.ITEMS, context.run_date).to_pylist()}
    done = 0
    for item_id, group in groupby(planned, key=lambda row: str(row["item_id"])):
        rows = list(group)
        if any(pair_key(row) not in progress.rows for row in rows):
            progress.add(_item_rows(context, engine, finisher, items.get(item_id), rows, vectors))
            if progress.due():
                progress.save()
        done += len(rows)
        if done % 50 < len(rows):
            context.say(f"{done} of {len(planned)} covers")
        if context.stop.raised:
            progress.save()
            context.stop.check(f"{len(progress.rows)} of {len(planned)} covers are saved")


def _own_scratch(context: StageContext) -> StageContext:
    """The same run with a work folder of this shard's: shards run side by side and must not fetch models into one place."""
    folder = Path(context.settings.work_folder) / f"shard-{int(context.arguments['shard']):03d}"
    return replace(context, settings=replace(context.settings, work_folder=str(folder)))


def _item_rows(
    context: StageContext,
    engine: "CoverEngine",
    finisher: Finisher,
    item: Row | None,
    rows: list[Row],
    vectors: dict[str, Vector],
) -> list[Row]:
    """One item's rows as COVER_SHARD wants them; its blobs are in the store afterwards."""
    try:
        requests = _requests(context, item, rows, vectors)
        covers = engine.generate(requests)
    except (DataCorrupt, DataMissing) as error:
        context.say(f"item {rows[0]['item_id']} gets no cover: {error}")
        return [_shard_row(context, engine, row) | {"rejected": UNREADABLE} for row in rows]
    title = requests[0].title
    return [_shard_row(context, engine, row) | _made(finisher, cover, title) for row, cover in zip(rows, covers, strict=True)]


def _requests(context: StageContext, item: Row | None, rows: list[Row], vectors: dict[str, Vector]) -> "list[CoverRequest]":
    from icg_tasks.covers.engine import CoverRequest

    if item is None:
        raise DataMissing(f"it is planned but not in {keys.ITEMS} of {context.run_date}; run icg plan-covers again")
    key = keys.checked_key(item["reference_image"])
    size, most = context.store.size(key), context.settings.intake.max_image_bytes
    if size > most:
        raise DataCorrupt(f"own cover of {size} bytes, at most {most} are read")
    image_bytes = context.store.get(key)
    if hashlib.sha256(image_bytes).hexdigest() != item["image_sha256"]:
        raise DataCorrupt(f"{key} has changed since validation; run icg validate-items again")
    settings = context.settings.covers
    return [
        CoverRequest(
            item_id=row["item_id"],
            title=item["title"],
            image_bytes=image_bytes,
            user_vector=None if row["segment_id"] == EVERYONE else vectors[row["segment_id"]],
            seed=row["seed"],
            candidates=settings.candidates,
            scale=settings.personalisation,
        )
        for row in rows
    ]


def _shard_row(context: StageContext, engine: "CoverEngine", planned: Row) -> Row:
    """A planned row as COVER_SHARD wants it, of which nothing has become yet."""
    versions = engine.versions
    row: Row = dict.fromkeys(COVER_MANIFEST.names) | {name: planned[name] for name in ("segment_id", "item_id", "variant")}
    row |= {name: planned[name] for name in ("seed", "request_hash")} | {"generator": versions.generator}
    row |= {"adapter_version": versions.adapter, "preference_version": versions.preference}
    row |= {"denoiser_version": versions.denoiser, "made_on": context.run_date.isoformat(), "rejected": None, "vector": None}
    return row


def _made(finisher: Finisher, cover: "GeneratedCover", title: str) -> Row:
    """What became of a row: its scores, and its place in the store or the reason against it."""
    scores = {name: float(getattr(cover, name)) for name in ("preference", "relevance", "aesthetic")}
    row: Row = {name: value if math.isfinite(value) else None for name, value in scores.items()}
    stored = cover.rejected or finisher.finish(cover.image, title)
    if isinstance(stored, str):
        return row | {"rejected": stored}
    row |= {"cover_id": stored.cover_id, "blob": stored.blob, "width": stored.width, "height": stored.height}
    return row | {"vector": cover.vector.tolist()}


def _check_versions(context: StageContext, engine: "CoverEngine") -> None:
    partition = find_partition(context.store, keys.COVER_PLANS, context.run_date)
    wanted = partition.metadata.get("versions") if partition else None
    if wanted != engine.versions.to_json():
        raise DataCorrupt(
            f"the plan for {context.run_date} was made for models {wanted}, in use are {engine.versions.to_json()}; "
            "run icg plan-covers again"
        )


def _vectors(context: StageContext) -> dict[str, Vector]:
    table: pa.Table = read_partition(context.store, keys.COVER_PLAN_SEGMENTS, context.run_date)
    return {row["segment_id"]: rounded(row["vector"]) for row in table.to_pylist()}


def _outcome(context: StageContext, shard: int, rows: list[Row], *, made: int) -> StageOutcome:
    rejected = Counter(row["rejected"] for row in rows if row["rejected"] is not None)
    examples = sorted({row["item_id"] for row in rows if row["rejected"] is not None})[:_NAMED]
    counts = {"covers": len(rows) - rejected.total(), "made": made, "saved_before": len(rows) - made}
    counts |= {"rejected": rejected.total()}
    figures: dict[str, Any] = {"shard": shard, "rejected": dict(sorted(rejected.items())), "rejected_items": examples}
    for name in ("preference", "relevance", "aesthetic"):
        values = [row[name] for row in rows if row[name] is not None and row["rejected"] is None]
        figures[f"mean_{name}"] = round(sum(values) / len(values), 6) if values else None
    return StageOutcome(outputs=[keys.partition_prefix(shard_dataset(shard), context.run_date)], counts=counts, figures=figures)
