"""Gathers what a day left behind for its report: stage lines, table, segments, covers, quarantine, models.

Reads data sets and cards; knows no HTML. A part that is not there is named, never hidden. Everything is as of the run date.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.contracts.stages import ICG, PIGEON, REPORT, day_in_order, generators_of
from icg_tasks.evaluation.report_images import ImageFolder
from icg_tasks.evaluation.segment_labels import segment_labels
from icg_tasks.features.segment_names import SegmentName
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.lake.registry import champion_as_of
from icg_tasks.stage import StageContext

CARDS_PER_SEGMENT = 6
HISTORY = 8


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A cover on the page; ``address`` None = could not be shown."""

    address: str | None
    caption: str
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CoverCard:
    """One item for one segment: its own cover, the unpersonalised and the personalised one."""

    item_id: str
    title: str
    own: Picture
    plain: Picture | None
    personal: Picture


@dataclass(frozen=True, kw_only=True)
class SegmentView:
    """A segment as the page shows it."""

    segment_id: str
    size: int
    traffic: float
    history: list[Picture]
    cards: list[CoverCard]
    name: str
    icon: str  # SVG
    drift: float | None  # how far its taste moved since it was last told (cosine distance); None: it is new


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """``rows`` is evaluation.json; ``detail`` holds gains, shares, notes and the judged pairs."""

    rows: list[dict[str, Any]]
    detail: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class DayView:
    """Everything the page tells; ``missing`` names what was not there."""

    stages: list[dict[str, Any]]
    evaluation: Evaluation | None
    segments: list[SegmentView]
    quality: dict[str, dict[str, Any]]
    docs: list[str]
    preference: dict[str, Any]
    adapter: dict[str, Any]
    denoiser: dict[str, Any]  # its LoRA, empty where there is none
    pigeon: dict[str, Any]
    masks: str | None  # a picture of what Pigeon keeps of a history
    missing: list[str]


def gather(context: StageContext, images: ImageFolder) -> DayView:
    """The day's view; a part that is not there is named in ``missing`` and the rest goes on."""
    missing: list[str] = []
    generators = generators_of(context.settings.generator)
    return DayView(
        stages=_stages(context, missing),
        evaluation=_evaluation(context, missing),
        segments=_segments(context, images, missing),
        quality=_quality(context, missing),
        docs=_docs(context, missing),
        preference=_card(context, "preference", missing),
        adapter=_card(context, "adapter", missing) if ICG in generators else {},
        denoiser=_card(context, "denoiser", []),
        pigeon=_card(context, "pigeon", missing) if PIGEON in generators else {},
        masks=_masks(context, images) if PIGEON in generators else None,
        missing=missing,
    )


def _stages(context: StageContext, missing: list[str]) -> list[dict[str, Any]]:
    """Closing lines in the order of the day, mapped tasks after each other."""
    there = context.store.list(f"{keys.STAGE_RUNS}/ds={context.run_date.isoformat()}/")
    lines = [json.loads(context.store.get(key)) for key in there]
    day = day_in_order(context.settings.generator)
    order = {stage: number for number, stage in enumerate(day)}
    found = [line for line in lines if line["stage"] in order and line["stage"] != REPORT]
    absent = [stage for stage in day if stage != REPORT and stage not in {line["stage"] for line in found}]
    if absent:
        missing.append(f"no closing line of: {', '.join(absent)}")
    return sorted(found, key=lambda line: order[line["stage"]])


def _evaluation(context: StageContext, missing: list[str]) -> Evaluation | None:
    prefix = keys.partition_prefix(keys.REPORTS, context.run_date)
    try:
        rows = json.loads(context.store.get(f"{prefix}/evaluation.json"))
        return Evaluation(rows=rows, detail=json.loads(context.store.get(f"{prefix}/evaluation_detail.json")))
    except DataMissing:
        missing.append("no evaluation of this day: no uplift table (run `icg evaluate`)")
        return None


def _segments(context: StageContext, images: ImageFolder, missing: list[str]) -> list[SegmentView]:
    store, day = context.store, context.run_date
    for dataset in (keys.SEGMENTS, keys.ITEMS):
        if find_partition(store, dataset, day) is None:
            missing.append(f"no {dataset} of this day: no gallery")
            return []
    if find_partition(store, keys.COVER_MANIFESTS, day) is None:
        missing.append("no covers were published for this day: segments are shown without covers")
        manifest: list[dict[str, Any]] = []
    else:
        manifest = [row for row in read_partition(store, keys.COVER_MANIFESTS, day).to_pylist() if row["variant"] == 0]
    items = {row["item_id"]: row for row in read_partition(store, keys.ITEMS, day).to_pylist()}
    covers = {(row["segment_id"], row["item_id"]): row for row in manifest}
    rows = sorted(read_partition(store, keys.SEGMENTS, day).to_pylist(), key=lambda row: (row["rank"], row["segment_id"]))
    gallery = _Gallery(context, images, items, covers)
    least = context.settings.privacy.min_published_users
    seen = [row for row in rows if row["segment_id"] != EVERYONE and row["size"] >= least]
    chosen = seen[: context.settings.features.num_top_segments]
    labels = segment_labels(context, chosen, items)
    return [gallery.view(row, labels[row["segment_id"]]) for row in chosen]


class _Gallery:
    def __init__(
        self, context: StageContext, images: ImageFolder, items: dict[str, Any], covers: dict[tuple[str, str], Any]
    ) -> None:
        self._context, self._images, self._items, self._covers = context, images, items, covers

    def view(self, row: dict[str, Any], label: SegmentName) -> SegmentView:
        segment = row["segment_id"]
        mine = sorted(item for name, item in self._covers if name == segment and item in self._items)
        rank = {item: number for number, item in enumerate(row["top_items"])}
        mine.sort(key=lambda item: (rank.get(item, len(rank)), item))
        return SegmentView(
            segment_id=segment,
            size=row["size"],
            traffic=row["expected_traffic"],
            history=[self._own(item) for item in row["history"][:HISTORY] if item in self._items],
            cards=[self._card(segment, item) for item in mine[:CARDS_PER_SEGMENT]],
            name=label.text,
            icon=label.icon,
            drift=row["drift"],
        )

    def _card(self, segment: str, item: str) -> CoverCard:
        plain = self._covers.get((EVERYONE, item))
        return CoverCard(
            item_id=item,
            title=self._items[item]["title"],
            own=self._own(item),
            plain=self._published(plain, "unpersonalised") if plain else None,
            personal=self._published(self._covers[segment, item], "for this segment"),
        )

    def _own(self, item: str) -> Picture:
        row = self._items[item]
        address = self._images.add_key(keys.reference_image_key(row["reference_image"]))
        return Picture(address=address, caption=row["title"])

    def _published(self, row: dict[str, Any], caption: str) -> Picture:
        scores = {name: row[name] for name in ("preference", "relevance", "aesthetic") if row[name] is not None}
        return Picture(address=self._images.add_key(row["blob"]), caption=caption, scores=scores)


def _quality(context: StageContext, missing: list[str]) -> dict[str, dict[str, Any]]:
    """Per data set: clean rows, quarantined rows by reason, the clean partition's own remarks, figures against past weeks."""
    found = {}
    for name, clean, quarantine in (
        ("impressions", keys.IMPRESSIONS, keys.QUARANTINE_IMPRESSIONS),
        ("items", keys.ITEMS, keys.QUARANTINE_ITEMS),
    ):
        partition = find_partition(context.store, clean, context.run_date)
        if partition is None:
            missing.append(f"no {clean} of this day")
            continue
        reasons: Counter[str] = Counter()
        if (held := find_partition(context.store, quarantine, context.run_date)) is not None and held.rows:
            reasons.update(read_partition(context.store, quarantine, context.run_date, ["reason"])["reason"].to_pylist())
        ordered = dict(sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0])))
        checked = context.store.get_with_etag(f"{keys.partition_prefix(keys.QUALITY, context.run_date)}/{name}.json")
        checks = {} if checked is None else json.loads(checked[0])
        found[name] = {"clean": partition.rows, "quarantined": ordered, "metadata": partition.metadata, "checks": checks}
    return found


def _docs(context: StageContext, missing: list[str]) -> list[str]:
    """First pages of the data docs, relative to the report page."""
    prefix = keys.partition_prefix(keys.DATA_DOCS, context.run_date)
    pages = [key for key in context.store.list(f"{prefix}/") if key.endswith("/index.html") and key.count("/") == 4]
    if not pages:
        missing.append("no data docs of this day")
    return [f"../{key.removeprefix(keys.REPORTS + '/')}" for key in pages]


def _masks(context: StageContext, images: ImageFolder) -> str | None:
    version = champion_as_of(context.store, "pigeon", context.run_date)
    return images.add_whole(f"{version.prefix}/masks.png") if version else None


def _card(context: StageContext, kind: str, missing: list[str]) -> dict[str, Any]:
    version = champion_as_of(context.store, kind, context.run_date)
    if version is None:
        missing.append(f"no {kind} model in use as of this day")
        return {}
    return {**version.card, "version": version.version}
