"""What covers.html lists: published covers and judged ones of a day, as small tables that a page's script can read.

Knows data sets and the report's pictures; no HTML. Covers are addressed where they were published, never copied. Segments too
small to be shown are left out, and the lists are bounded: the busiest items of every segment first.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.report_data import DayView
from icg_tasks.evaluation.report_images import ImageFolder
from icg_tasks.evaluation.report_words import ARM_WORDS, METRIC_WORDS, PERCENT
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.stage import StageContext

FORMAT: Final = 1
"""Of the file that the page's script reads; a page does not compare with a day of another format."""
MAX_COVERS: Final = 10_000
"""Published covers that a page lists, unpersonalised ones of the same items apart."""
MAX_JUDGED_PAIRS: Final = 2_000
MAX_OWN: Final = 400
"""Items whose own cover is shown beside; each is made small first, which costs the stage a few milliseconds."""
SCORES: Final = (names.PREFERENCE, names.RELEVANCE, names.AESTHETIC)
_COLUMNS = ("segment_id", "item_id", "variant", "blob", "generator", "made_on", *SCORES)


@dataclass(frozen=True, kw_only=True)
class Covers:
    """A day's covers for the page. Rows name segments, items and generators by their place in the lists before.

    ``published``: [segment, item, generator, address, scores…, made on that day?]. ``judged``: [segment, item, addresses by
    arm, values by arm and metric]. Addresses are relative to the page; a missing picture or value is None.
    """

    day: str
    segments: list[tuple[str, str]]  # id, name
    items: list[tuple[str, str, str | None]]  # id, title, address of its own cover
    generators: list[str]
    published: list[list[Any]]
    num_published: int  # in the manifest, of segments that may be shown
    arms: list[str]
    judged: list[list[Any]]
    metrics: list[str]
    days: list[str] = field(default_factory=list)  # earlier ones to compare with, newest first

    def script(self) -> bytes:
        """The file that hands these tables to the page's script; the same tables give the same bytes."""
        body = {
            "format": FORMAT,
            "day": self.day,
            "segments": self.segments,
            "items": self.items,
            "generators": self.generators,
            "published": self.published,
            "arms": [[arm, ARM_WORDS.get(arm, arm)] for arm in self.arms],
            "judged": self.judged,
            "scores": [[name, METRIC_WORDS[name], 0] for name in SCORES],
            "metrics": [[name, METRIC_WORDS.get(name, name), int(name in PERCENT)] for name in self.metrics],
            "days": self.days,
        }
        text = json.dumps(body, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        return f"icgDay({text});\n".encode()


class _Numbered:
    """Names in the order of their first use."""

    def __init__(self) -> None:
        self.place: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        return self.place.setdefault(name, len(self.place))


def gather_covers(context: StageContext, view: DayView, images: ImageFolder, days: Sequence[str]) -> Covers | None:
    """The day's covers, or None where none were published and none judged. ``days``: earlier ones to compare with."""
    store, day = context.store, context.run_date
    shown = {segment.segment_id: segment.name for segment in view.segments}
    segments, items, generators = _Numbered(), _Numbered(), _Numbered()
    segments(EVERYONE)
    rows, total = _published(context, shown)
    published = [
        [segments(row["segment_id"]), items(row["item_id"]), generators(row["generator"]), address_of(context, row["blob"])]
        + [_number(row[name]) for name in SCORES]
        + [int(row["made_on"] == day.isoformat())]
        for row in rows
    ]
    arms, metrics, judged = _judged(context, view, segments, items)
    if not published and not judged:
        return None
    known = _items(context, items.place) if find_partition(store, keys.ITEMS, day) else {}
    titles = {row["item_id"]: row["title"] for row in (view.evaluation.detail["items"] if view.evaluation else [])}
    own = _own_covers(images, known, list(items.place)[:MAX_OWN])
    return Covers(
        day=day.isoformat(),
        segments=[
            (name, "Everybody, unpersonalised" if name == EVERYONE else shown.get(name, name)) for name in segments.place
        ],
        items=[(name, _title(known.get(name), titles.get(name, name)), own.get(name)) for name in items.place],
        generators=list(generators.place),
        published=published,
        num_published=total,
        arms=arms,
        judged=judged,
        metrics=metrics,
        days=list(days),
    )


def address_of(context: StageContext, key: str) -> str:
    """A store key as seen from a page of the run date's report."""
    prefix = f"{keys.partition_prefix(keys.REPORTS, context.run_date)}/"
    key = keys.checked_key(key)
    return key.removeprefix(prefix) if key.startswith(prefix) else f"../../{key}"


def _published(context: StageContext, shown: Mapping[str, str]) -> tuple[list[dict[str, Any]], int]:
    """Manifest rows of shown segments, the busiest items of all first, then the same items' unpersonalised covers.

    Of each generator its first variant.
    """
    store, day = context.store, context.run_date
    if find_partition(store, keys.COVER_MANIFESTS, day) is None or not shown:
        return [], 0
    table = read_partition(store, keys.COVER_MANIFESTS, day, list(_COLUMNS))
    table = table.filter(_first_of_each(table))
    mine = table.filter(pc.is_in(table["segment_id"], value_set=_texts(list(shown))))
    busy = {
        (row["segment_id"], item): number
        for row in read_partition(store, keys.SEGMENTS, day, ["segment_id", "top_items"]).to_pylist()
        if row["segment_id"] in shown
        for number, item in enumerate(row["top_items"])
    }
    rank = {segment: number for number, segment in enumerate(shown)}
    pairs = list(zip(mine["segment_id"].to_pylist(), mine["item_id"].to_pylist(), strict=True))
    variants = mine["variant"].to_pylist()
    order = sorted(
        range(len(pairs)), key=lambda row: (busy.get(pairs[row], 1 << 30), rank[pairs[row][0]], pairs[row][1], variants[row])
    )
    chosen = mine.take(order[:MAX_COVERS]).to_pylist()
    everybody = table.filter(pc.equal(table["segment_id"], EVERYONE))
    wanted = list(dict.fromkeys(row["item_id"] for row in chosen))
    plain = everybody.filter(pc.is_in(everybody["item_id"], value_set=_texts(wanted))).to_pylist()
    place = {item: number for number, item in enumerate(wanted)}
    return chosen + sorted(plain, key=lambda row: (place[row["item_id"]], row["variant"])), len(pairs)


def _first_of_each(table: pa.Table) -> pa.ChunkedArray:
    """Which rows are of the lowest variant that their generator made."""
    lowest = table.group_by("generator").aggregate([("variant", "min")])
    found = pc.equal(table["variant"], -1)
    for generator, variant in zip(lowest["generator"], lowest["variant_min"], strict=True):
        found = pc.or_(found, pc.and_(pc.equal(table["generator"], generator), pc.equal(table["variant"], variant)))
    return found


def _judged(
    context: StageContext, view: DayView, segments: _Numbered, items: _Numbered
) -> tuple[list[str], list[str], list[list[Any]]]:
    """Arms that have pictures, metrics that single covers have, and a row per judged pair."""
    pairs = view.evaluation.detail.get("pairs", [])[:MAX_JUDGED_PAIRS] if view.evaluation else []
    arms = [arm for arm in names.ALL_ARMS if any(arm in pair["images"] for pair in pairs)]
    found = {metric for pair in pairs for values in pair["values"].values() for metric in values}
    metrics = [metric for metric in names.ALL_METRICS if metric in found]
    rows = []
    for pair in pairs:
        addresses = [address_of(context, pair["images"][arm]) if arm in pair["images"] else None for arm in arms]
        values = [[_number(pair["values"].get(arm, {}).get(metric)) for metric in metrics] for arm in arms]
        rows.append([segments(pair["segment_id"]), items(pair["item_id"]), addresses, values])
    return arms, metrics, rows


def _items(context: StageContext, wanted: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    table = read_partition(context.store, keys.ITEMS, context.run_date, ["item_id", "title", "reference_image"])
    rows = table.filter(pc.is_in(table["item_id"], value_set=_texts(list(wanted)))).to_pylist()
    return {row["item_id"]: row for row in rows}


def _own_covers(images: ImageFolder, known: Mapping[str, Mapping[str, Any]], wanted: Sequence[str]) -> dict[str, str | None]:
    return {item: images.add_key(keys.reference_image_key(known[item]["reference_image"])) for item in wanted if item in known}


def _title(row: Mapping[str, Any] | None, otherwise: str) -> str:
    return str((row or {}).get("title") or otherwise)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 4)


def _texts(values: Sequence[str]) -> Any:
    return pa.array(values, type=pa.string())
