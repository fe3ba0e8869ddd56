"""Stage plan-covers: which (segment, item, variant) get a cover, which of them can be kept, and which shard makes the others.

A cover is kept where the newest earlier manifest holds one for the very same request (item content, segment vector, models,
settings), so the day's cost follows what changed. Every row says why; the cost is told before it arises. Draws nothing.
Run: ``icg plan-covers --run-date YYYY-MM-DD [--max-gpu-hours 2.5]``.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError
from icg_tasks.contracts.schemas import COVER_PLAN, COVER_PLAN_SEGMENTS, EVERYONE
from icg_tasks.contracts.stages import GENERATE_COVERS, StageOutcome
from icg_tasks.covers.anonymity import small_segments, without
from icg_tasks.covers.budget import affordable, expected_impressions
from icg_tasks.covers.former import Former
from icg_tasks.covers.requests import Vector, cover_seed, drift, request_hash, rounded, settings_that_decide
from icg_tasks.covers.states_cache import prune_states
from icg_tasks.covers.versions import ModelVersions, all_versions, in_metadata
from icg_tasks.lake.partitions import read_partition, write_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A segment, the vectors its covers may be made for (best first), and its items; ``vectors`` empty = unpersonalised."""

    segment_id: str
    vectors: list[tuple[Vector, str]]  # with the date each was set on
    item_ids: list[str]


def run(context: StageContext) -> StageOutcome:
    """Write covers/plans and covers/plan_segments of the run date."""
    _check_settings(context)
    versions = all_versions(context)
    contents = _item_contents(context.store, context.run_date)
    former = Former.read(context)
    segments = _segments(context)
    wishes, skipped = _wishes(context, segments, contents, former)
    rows: list[Row] = []
    chosen: list[Row] = []
    for wish in wishes:
        vector, mine = _rows_of(context, wish, contents, versions, former)
        rows += mine
        if vector is not None:
            chosen.append({"segment_id": wish.segment_id, "vector": vector[0], "set_on": vector[1]})
    rows, estimate = affordable(context, rows, former, expected_impressions(segments))
    shards = sorted({row["shard"] for row in rows if row["shard"] is not None})
    _write(context, rows, chosen, versions, former)
    _forget_former_shards(context, shards)
    prune_states(context.store, context.settings.generation.states_cache_bytes)
    new = sum(row["shard"] is not None for row in rows)
    kept = sum(row["kept_cover_id"] is not None for row in rows)
    reasons = dict(sorted(Counter(row["reason"] for row in rows).items()))
    counts = {"planned": len(rows), "kept": kept, "new": new, "shards": len(shards)}
    counts |= {f"items_{reason}": count for reason, count in sorted(skipped.items())}
    context.say(f"{len(rows)} covers planned, {kept} kept from {former.day}, {new} to make in {len(shards)} shards")
    context.say("why: " + ", ".join(f"{reason} {count}" for reason, count in reasons.items()))
    figures: dict[str, Any] = {
        "shards": shards,
        "kept_from": former.day.isoformat() if former.day else None,
    }
    figures |= in_metadata(versions)
    figures |= {"reasons": reasons, "estimate": estimate}
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


def _segments(context: StageContext) -> list[Row]:
    """All segments of the day that are large enough to be seen; raises DataMissing where there is none."""
    columns = ["segment_id", "rank", "centroid", "top_items", "expected_traffic"]
    table = read_partition(context.store, keys.SEGMENTS, context.run_date, columns)
    found = [row for row in without(table, small_segments(context)).to_pylist() if row["segment_id"] != EVERYONE]
    if not found:
        raise DataMissing(
            f"{keys.SEGMENTS} for {context.run_date} has no segment of privacy.min_published_users="
            f"{context.settings.privacy.min_published_users} users or more; run icg assign-segments for that date"
        )
    return found


def _wishes(
    context: StageContext, segments: list[Row], contents: dict[str, str], former: Former
) -> tuple[list[Wish], Counter[str]]:
    """The top segments by rank with their items, and everybody with all of these."""
    top = sorted(segments, key=lambda row: (row["rank"], row["segment_id"]))[: context.settings.features.num_top_segments]
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
    context: StageContext, wish: Wish, contents: dict[str, str], versions: dict[str, ModelVersions], former: Former
) -> tuple[tuple[Vector, str] | None, list[Row]]:
    """The wish's rows under the first of its vectors that lets any cover be kept, else under the last (today's)."""
    rows: list[Row] = []
    choices: list[tuple[Vector, str] | None] = [*wish.vectors] or [None]
    for choice in choices:
        rows = [
            _row(context, wish, item, variant, choice, contents[item], made_by, former)
            for item in wish.item_ids
            for variant, made_by in _variants(context, versions)
        ]
        if any(row["kept_cover_id"] is not None for row in rows):
            break
    told = former.vectors.get(wish.segment_id)
    same = choice is None or (told is not None and np.array_equal(told[0], choice[0]))
    settings = settings_that_decide(context.settings.covers)
    for row in rows:
        row["reason"] = former.why(row, same_vector=same, versions=versions[row["generator"]].to_json(), settings=settings)
    return choice, rows


def _variants(context: StageContext, versions: dict[str, ModelVersions]) -> Iterator[tuple[int, ModelVersions]]:
    """Each variant's number and models: `covers.variants` of the main generator, then as many of each other one."""
    return enumerate(one for one in versions.values() for _ in range(context.settings.covers.variants))


def _row(
    context: StageContext,
    wish: Wish,
    item: str,
    variant: int,
    choice: tuple[Vector, str] | None,
    content: str,
    versions: ModelVersions,
    former: Former,
) -> Row:
    """A wished cover, made for this vector; kept where the former manifest answers the very same request."""
    covers = context.settings.covers
    name = request_hash(
        segment_id=wish.segment_id,
        item_id=item,
        variant=variant,
        content_hash=content,
        vector_V=choice[0] if choice else None,
        versions=versions.to_json(),
        settings=covers,
    )
    seed = cover_seed(wish.segment_id, item, versions.adapter, variant, covers.seed)
    row = {"segment_id": wish.segment_id, "item_id": item, "variant": variant, "seed": seed, "request_hash": name}
    row |= {"generator": versions.generator, "content_hash": content}
    return row | {"shard": None, "kept_cover_id": former.covers.get(name)}


def _write(
    context: StageContext, rows: list[Row], chosen: list[Row], versions: dict[str, ModelVersions], former: Former
) -> None:
    """Segments first: a reader of the plan finds both or neither."""
    store, day = context.store, context.run_date
    segments = pa.Table.from_pylist(sorted(chosen, key=lambda row: str(row["segment_id"])), schema=COVER_PLAN_SEGMENTS)
    write_partition(store, keys.COVER_PLAN_SEGMENTS, day, [segments], schema=COVER_PLAN_SEGMENTS)
    ordered = sorted(rows, key=lambda row: (row["item_id"], row["segment_id"], row["variant"]))
    metadata = in_metadata(versions) | {"kept_from": former.day.isoformat() if former.day else None}
    metadata["settings"] = settings_that_decide(context.settings.covers)
    table = pa.Table.from_pylist(ordered, schema=COVER_PLAN)
    write_partition(store, keys.COVER_PLANS, day, [table], schema=COVER_PLAN, metadata=metadata)
