"""Stage plan-covers: which (segment, item, variant) get a cover, which of them can be kept, and which shard makes the others.

A cover is kept where the newest earlier manifest holds one for the very same request (item content, segment vector, models,
settings), so the day's cost follows what changed. Draws nothing. Run: ``icg plan-covers --run-date YYYY-MM-DD``.
"""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError
from icg_tasks.contracts.schemas import COVER_PLAN, COVER_PLAN_SEGMENTS, EVERYONE
from icg_tasks.contracts.stages import GENERATE_COVERS, StageOutcome
from icg_tasks.covers.requests import Vector, cover_seed, drift, request_hash, rounded
from icg_tasks.covers.versions import ModelVersions, model_versions
from icg_tasks.lake.partitions import find_partition, latest_partition_before, read_partition, write_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

_READERS = 16

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A segment, the vectors its covers may be made for (best first), and its items; ``vectors`` empty = unpersonalised."""

    segment_id: str
    vectors: list[tuple[Vector, str]]  # with the date each was set on
    item_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class Former:
    """The newest earlier manifest: cover ids by request hash, and the vectors its covers were made for."""

    day: date | None
    covers: dict[str, str]
    vectors: dict[str, tuple[Vector, str]]


def run(context: StageContext) -> StageOutcome:
    """Write covers/plans and covers/plan_segments of the run date."""
    _check_settings(context)
    versions = model_versions(context)
    contents = _item_contents(context.store, context.run_date)
    former = _former(context)
    wishes, skipped = _wishes(context, contents, former)
    rows: list[Row] = []
    chosen: list[Row] = []
    for wish in wishes:
        vector, mine = _rows_of(context, wish, contents, versions, former)
        rows += mine
        if vector is not None:
            chosen.append({"segment_id": wish.segment_id, "vector": vector[0], "set_on": vector[1]})
    _assign_shards(rows, context.settings.covers.shard_size)
    shards = sorted({row["shard"] for row in rows if row["shard"] is not None})
    _write(context, rows, chosen, versions, former)
    _forget_former_shards(context, shards)
    new = sum(row["shard"] is not None for row in rows)
    counts = {"planned": len(rows), "kept": len(rows) - new, "new": new, "shards": len(shards)}
    counts |= {f"items_{reason}": count for reason, count in sorted(skipped.items())}
    context.say(f"{len(rows)} covers planned, {len(rows) - new} kept from {former.day}, {new} to make in {len(shards)} shards")
    figures = {"shards": shards, "kept_from": former.day.isoformat() if former.day else None, "versions": versions.to_json()}
    outputs = [keys.partition_prefix(name, context.run_date) for name in (keys.COVER_PLANS, keys.COVER_PLAN_SEGMENTS)]
    return StageOutcome(outputs=outputs, counts=counts, figures=figures)


def _forget_former_shards(context: StageContext, shards: list[int]) -> None:
    """Closing lines of shards that an earlier plan of this date had and this one has not: the report would count them."""
    wanted = {keys.stage_run_key(GENERATE_COVERS, context.run_date, str(shard)) for shard in shards}
    prefix = keys.stage_run_key(GENERATE_COVERS, context.run_date).removesuffix(".json")
    for key in list(context.store.list(f"{prefix}-")):
        if key not in wanted:
            context.store.delete(key)


def _check_settings(context: StageContext) -> None:
    covers = context.settings.covers
    for name in ("items_per_segment", "variants", "candidates", "steps", "batch_size", "shard_size", "size_pixels"):
        if getattr(covers, name) < 1:
            raise SettingsError(f"covers.{name} is {getattr(covers, name)}; expected 1 or more")
    if covers.candidates > covers.batch_size:
        raise SettingsError(
            f"covers.candidates is {covers.candidates}, more than covers.batch_size {covers.batch_size}: a cover's "
            "candidates are drawn in one batch; raise batch_size or lower candidates"
        )
    if covers.segment_tolerance < 0:
        raise SettingsError(f"covers.segment_tolerance is {covers.segment_tolerance}; expected 0 (never keep) or more")


def _item_contents(store: ObjectStore, day: date) -> dict[str, str]:
    """Content hash of every item that has a vector of that very content (an item without one cannot be judged)."""
    items = read_partition(store, keys.ITEMS, day, ["item_id", "content_hash"])
    features = read_partition(store, keys.ITEM_FEATURES, day, ["item_id", "content_hash"])
    known = set(zip(features["item_id"].to_pylist(), features["content_hash"].to_pylist(), strict=True))
    pairs = zip(items["item_id"].to_pylist(), items["content_hash"].to_pylist(), strict=True)
    return {item: content for item, content in pairs if (item, content) in known}


def _former(context: StageContext) -> Former:
    """What may be kept; covers whose image is gone from the store are left out, so that they are made again."""
    store = context.store
    day = latest_partition_before(store, keys.COVER_MANIFESTS, context.run_date)
    if day is None:
        return Former(day=None, covers={}, vectors={})
    columns = ["request_hash", "cover_id", "blob"]
    rows = read_partition(store, keys.COVER_MANIFESTS, day, columns).to_pylist()
    blobs = sorted({row["blob"] for row in rows})
    with ThreadPoolExecutor(_READERS) as pool:
        there = dict(zip(blobs, pool.map(store.exists, blobs), strict=True))
    vectors: dict[str, tuple[Vector, str]] = {}
    if find_partition(store, keys.COVER_PLAN_SEGMENTS, day) is not None:
        table = read_partition(store, keys.COVER_PLAN_SEGMENTS, day).to_pylist()
        vectors = {row["segment_id"]: (rounded(row["vector"]), row["set_on"]) for row in table}
    covers = {row["request_hash"]: row["cover_id"] for row in rows if there[row["blob"]]}
    return Former(day=day, covers=covers, vectors=vectors)


def _wishes(context: StageContext, contents: dict[str, str], former: Former) -> tuple[list[Wish], Counter[str]]:
    """The top segments by rank with their items, and everybody with all of these."""
    table = read_partition(context.store, keys.SEGMENTS, context.run_date, ["segment_id", "rank", "centroid", "top_items"])
    found = [row for row in table.to_pylist() if row["segment_id"] != EVERYONE]
    if not found:
        raise DataMissing(f"{keys.SEGMENTS} for {context.run_date} has no segment; run icg assign-segments for that date")
    top = sorted(found, key=lambda row: (row["rank"], row["segment_id"]))[: context.settings.features.num_top_segments]
    skipped: Counter[str] = Counter()
    wishes = []
    for row in top:
        wanted = list(dict.fromkeys(row["top_items"]))[: context.settings.covers.items_per_segment]
        items = [item for item in wanted if item in contents]
        skipped["without_vector"] += len(wanted) - len(items)
        vectors = _vectors_for(row, former, context)
        wishes.append(Wish(segment_id=row["segment_id"], vectors=vectors, item_ids=items))
    everything = sorted({item for wish in wishes for item in wish.item_ids})
    if not everything:
        raise DataMissing(f"no top item of {len(top)} segments is in the catalogue of {context.run_date} with a vector")
    return [*wishes, Wish(segment_id=EVERYONE, vectors=[], item_ids=everything)], skipped


def _vectors_for(row: Row, former: Former, context: StageContext) -> list[tuple[Vector, str]]:
    """Today's centroid; before it the vector its kept covers were made for, where the centroid has hardly moved from that."""
    today = rounded(row["centroid"])
    if not np.isfinite(today).all():
        raise DataCorrupt(f"centroid of segment {row['segment_id']} is not finite; run icg assign-segments again")
    kept = former.vectors.get(row["segment_id"])
    choices = [(today, context.run_date.isoformat())]
    if kept is not None and drift(kept[0], today) < context.settings.covers.segment_tolerance:
        return [kept, *choices]
    return choices


def _rows_of(
    context: StageContext, wish: Wish, contents: dict[str, str], versions: ModelVersions, former: Former
) -> tuple[tuple[Vector, str] | None, list[Row]]:
    """The wish's rows under the first of its vectors that lets any cover be kept, else under the last (today's)."""
    covers = context.settings.covers
    rows: list[Row] = []
    choices: list[tuple[Vector, str] | None] = [*wish.vectors] or [None]
    for choice in choices:
        rows = []
        for item in wish.item_ids:
            for variant in range(covers.variants):
                name = request_hash(
                    segment_id=wish.segment_id,
                    item_id=item,
                    variant=variant,
                    content_hash=contents[item],
                    vector_V=choice[0] if choice else None,
                    versions=versions.to_json(),
                    settings=covers,
                )
                seed = cover_seed(wish.segment_id, item, versions.adapter, variant, covers.seed)
                row = {"segment_id": wish.segment_id, "item_id": item, "variant": variant, "seed": seed, "request_hash": name}
                rows.append(row | {"shard": None, "kept_cover_id": former.covers.get(name)})
        if any(row["kept_cover_id"] is not None for row in rows):
            return choice, rows
    return choices[-1], rows


def _assign_shards(rows: list[Row], shard_size: int) -> None:
    """Number the rows to make: about ``shard_size`` to a shard, all rows of an item together (its states are computed once)."""
    new = sorted((row for row in rows if row["kept_cover_id"] is None), key=lambda row: str(row["item_id"]))
    shard, filled = 0, 0
    for _, group in groupby(new, key=lambda row: str(row["item_id"])):
        mine = list(group)
        if filled and filled + len(mine) > shard_size:
            shard, filled = shard + 1, 0
        for row in mine:
            row["shard"] = shard
        filled += len(mine)


def _write(context: StageContext, rows: list[Row], chosen: Iterable[Row], versions: ModelVersions, former: Former) -> None:
    """Segments first: a reader of the plan finds both or neither."""
    store, day = context.store, context.run_date
    segments = pa.Table.from_pylist(sorted(chosen, key=lambda row: str(row["segment_id"])), schema=COVER_PLAN_SEGMENTS)
    write_partition(store, keys.COVER_PLAN_SEGMENTS, day, [segments], schema=COVER_PLAN_SEGMENTS)
    ordered = sorted(rows, key=lambda row: (row["item_id"], row["segment_id"], row["variant"]))
    metadata = {"versions": versions.to_json(), "kept_from": former.day.isoformat() if former.day else None}
    table = pa.Table.from_pylist(ordered, schema=COVER_PLAN)
    write_partition(store, keys.COVER_PLANS, day, [table], schema=COVER_PLAN, metadata=metadata)
