"""Stage generate-covers: the images of one shard of the plan. Blobs first, then the shard's rows, whole.

Progress is kept batch by batch, so a stopped or killed run goes on from there; a finished shard is not made again. An item
whose own cover cannot be read costs that item only. Run: ``icg generate-covers --run-date YYYY-MM-DD --shard 0``.
"""

import math
import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.schemas import COVER_MANIFEST
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.covers.asked import Unmade, covers_in_a_batch
from icg_tasks.covers.checks import blob_fault
from icg_tasks.covers.finish import Finisher
from icg_tasks.covers.orders import Orders
from icg_tasks.covers.overlap import ahead
from icg_tasks.covers.progress import Progress
from icg_tasks.covers.shards import batch_order, pair_key, read_shard, shard_dataset, write_shard
from icg_tasks.covers.versions import drawn_by, from_metadata, main_generator
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.stage import StageContext

if TYPE_CHECKING:
    from icg_tasks.covers.engine import CoverEngine, GeneratedCover

_NAMED = 5
_TELL_EVERY_SECONDS = 10.0
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
    seconds = _make(context, planned, progress) if todo else 0.0
    rows = list(progress.rows.values())
    write_shard(context.store, context.run_date, shard, rows, planned)
    progress.clear()
    return _outcome(context, shard, rows, made=len(todo), seconds=seconds)


def _planned(context: StageContext, shard: int) -> list[Row]:
    plan = read_partition(context.store, keys.COVER_PLANS, context.run_date).to_pylist()
    planned = sorted((row for row in plan if row["shard"] == shard), key=batch_order)
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


def _make(context: StageContext, planned: list[Row], progress: Progress) -> float:
    """All covers of unfinished batches; saves on the way and when asked to stop. Seconds of it, loading left out."""
    from icg_tasks.covers.engine import CoverEngine

    generator = planned[0].get("generator") or main_generator(context)
    engine = CoverEngine.load(drawn_by(_own_scratch(context), generator))
    _check_versions(context, engine)
    batches = [batch for batch in whole_batches(context, planned) if any(pair_key(row) not in progress.rows for row in batch)]
    started = told = time.monotonic()
    with closing(finished_rows(context, engine, batches)) as finished:
        for rows in finished:
            progress.add(rows)
            if progress.due():
                progress.save()
            if time.monotonic() - told > _TELL_EVERY_SECONDS:
                told = time.monotonic()
                context.say(f"{len(progress.rows)} of {len(planned)} covers")
            if context.stop.raised:
                progress.save()
                context.stop.check(f"{len(progress.rows)} of {len(planned)} covers are saved")
    return time.monotonic() - started


def finished_rows(context: StageContext, engine: "CoverEngine", batches: list[list[Row]]) -> Generator[list[Row], None, None]:
    """Rows as COVER_SHARD wants them, batch by batch; their blobs are in the store.

    While a batch is drawn, the next one's items are fetched and read, and the last one's covers are encoded and uploaded.
    """
    finisher, orders = Finisher.load(context), Orders(context)
    with closing(engine.make(orders.requests(batch) for batch in batches)) as made:
        finished = ahead(
            finisher.stored(
                [_finished(context, engine, finisher, orders, row, cover) for row, cover in zip(batch, covers, strict=True)]
            )
            for batch, covers in zip(batches, made, strict=True)
        )
        with closing(finished):
            yield from finished


def whole_batches(context: StageContext, planned: list[Row]) -> list[list[Row]]:
    """The plan's batches: a shard holds whole ones, so who is drawn together hangs on the plan alone."""
    covers = context.settings.covers
    size = covers_in_a_batch(covers.batch_size, covers.candidates)
    return [planned[start : start + size] for start in range(0, len(planned), size)]


def _own_scratch(context: StageContext) -> StageContext:
    """The same run with a work folder of this shard's: shards run side by side and must not fetch models into one place."""
    folder = Path(context.settings.work_folder) / f"shard-{int(context.arguments['shard']):03d}"
    return replace(context, settings=replace(context.settings, work_folder=str(folder)))


def _finished(
    context: StageContext,
    engine: "CoverEngine",
    finisher: Finisher,
    orders: Orders,
    planned: Row,
    cover: "GeneratedCover | Unmade",
) -> Row:
    """A row as COVER_SHARD wants it; its blob is in the store afterwards."""
    row = _shard_row(context, engine, planned)
    if isinstance(cover, Unmade):
        context.say(f"item {cover.item_id} gets no cover: {cover.why}")
        return row | {"rejected": UNREADABLE}
    return row | _made(finisher, cover, orders.title(cover.item_id))


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
    wanted = from_metadata(partition.metadata if partition else {}, engine.versions.generator)
    if wanted != engine.versions.to_json():
        raise DataCorrupt(
            f"the plan for {context.run_date} was made for models {wanted}, in use are {engine.versions.to_json()}; "
            "run icg plan-covers again"
        )


def _outcome(context: StageContext, shard: int, rows: list[Row], *, made: int, seconds: float = 0.0) -> StageOutcome:
    rejected = Counter(row["rejected"] for row in rows if row["rejected"] is not None)
    examples = sorted({row["item_id"] for row in rows if row["rejected"] is not None})[:_NAMED]
    counts = {"covers": len(rows) - rejected.total(), "made": made, "saved_before": len(rows) - made}
    counts |= {"rejected": rejected.total()}
    figures: dict[str, Any] = {"shard": shard, "rejected": dict(sorted(rejected.items())), "rejected_items": examples}
    covers = context.settings.covers
    figures |= {"generator": rows[0]["generator"], "seconds_per_cover": round(seconds / made, 4) if made else None}
    figures |= {"candidates": covers.candidates, "steps": covers.steps, "size_pixels": covers.size_pixels}
    for name in ("preference", "relevance", "aesthetic"):
        values = [row[name] for row in rows if row[name] is not None and row["rejected"] is None]
        figures[f"mean_{name}"] = round(sum(values) / len(values), 6) if values else None
    return StageOutcome(outputs=[keys.partition_prefix(shard_dataset(shard), context.run_date)], counts=counts, figures=figures)
