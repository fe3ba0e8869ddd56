"""``icg evaluate``: what the day's models are worth on items that no training of the adapter saw, arm by arm, with intervals.

Writes ``reports/ds=…/evaluation.json`` (the table), ``evaluation.md`` (the same for people, with paired gains), and
``evaluation_detail.json`` with the judged images beside it. Where the data came from the embedded world, the oracle's truth and
an independent judge are asked (``world_truth``, ``world_judge``); elsewhere those rows are left out and the notes say why.
"""

import json
from collections.abc import Sequence

import numpy as np

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.evaluation.arms import WORLD_METRICS, HeldOutItem, Segment, held_out_order, least_alike
from icg_tasks.evaluation.drawn import DrawnItems
from icg_tasks.evaluation.judged import JudgedPairs
from icg_tasks.evaluation.making import ItemImages, Studio, arm_images
from icg_tasks.evaluation.table import Resampling, gain_rows, markdown, share_rows, table_rows
from icg_tasks.lake.partitions import read_partition
from icg_tasks.stage import StageContext

WORLD = "world"


def run(context: StageContext) -> StageOutcome:
    """Judge the day; raises DataMissing without segments, held-out items or champions."""
    settings = context.settings.evaluation
    segments, studio = read_segments(context), Studio.load(context)
    made = _make_all(context, studio, segments)
    judged = JudgedPairs()
    swaps = least_alike(np.stack([segment.vector for segment in segments]))
    for images in made:
        for row, swapped in enumerate(swaps):
            judged.add(studio, segments[row], images, arm_images(studio, images, segments[row], row, swapped))
    notes = _notes(context, len(made))
    if context.settings.source == WORLD:
        from icg_tasks.evaluation.world_truth import add_truth

        add_truth(context, studio, judged)
    values = judged.values()
    resampling = Resampling.over(len(judged.pairs), settings.bootstrap_samples, settings.seed)
    rows, gains = table_rows(values, resampling), gain_rows(values, resampling)
    shares = share_rows(values, resampling, WORLD_METRICS[:2])
    prefix = keys.partition_prefix(keys.REPORTS, context.run_date)
    detail = judged.detail(context.store, f"{prefix}/evaluation") | {"gains": gains, "shares": shares, "notes": notes}
    text = markdown(rows, gains, shares, notes)
    context.store.put(f"{prefix}/evaluation_detail.json", _json(detail | {"versions": studio.versions}))
    context.store.put(f"{prefix}/evaluation.md", f"# Evaluation of {context.run_date}\n\n{text}".encode())
    context.store.put(f"{prefix}/evaluation.json", _json(rows))
    context.say("\n" + text)
    return StageOutcome(
        outputs=[f"{prefix}/evaluation.json", f"{prefix}/evaluation.md", f"{prefix}/evaluation_detail.json"],
        counts={"pairs": len(judged.pairs), "segments": len(segments), "items": len(made), "images": judged.num_images},
        figures={"table": rows, "gains": gains, "share_of_achievable": shares, "notes": notes},
    )


def read_segments(context: StageContext) -> list[Segment]:
    """The segments with the most expected traffic, each with its own users; raises DataMissing for fewer than two."""
    table = read_partition(context.store, keys.SEGMENTS, context.run_date).to_pylist()
    rows = sorted((row for row in table if row["segment_id"] != EVERYONE), key=lambda row: (row["rank"], row["segment_id"]))
    members: dict[str, list[str]] = {}
    for entry in read_partition(context.store, keys.USER_SEGMENTS, context.run_date).to_pylist():
        members.setdefault(entry["segment_id"], []).append(entry["user_id"])
    chosen = [row for row in rows if members.get(row["segment_id"])][: context.settings.evaluation.num_segments]
    if len(chosen) < 2:
        raise DataMissing(f"{len(chosen)} segment with users on {context.run_date}; evaluation compares at least two")
    return [
        Segment(
            segment_id=row["segment_id"],
            user_ids=sorted(members[row["segment_id"]]),
            vector=np.asarray(row["centroid"], dtype=np.float32),
        )
        for row in chosen
    ]


def _make_all(context: StageContext, studio: Studio, segments: Sequence[Segment]) -> list[ItemImages]:
    """Images of as many held-out items as settings ask for; an unreadable own cover costs that item only."""
    wanted = context.settings.evaluation.items_per_segment
    rows = {row["item_id"]: row for row in read_partition(context.store, keys.ITEMS, context.run_date).to_pylist()}
    drawn = DrawnItems(context.scratch("drawn"), studio, segments, context.settings)
    made: list[ItemImages] = []
    for item_id in held_out_order(list(rows), context.settings.evaluation.seed):
        if len(made) == wanted:
            break
        context.stop.check(f"{len(made)} items are drawn and kept")
        try:
            data = context.store.get(keys.reference_image_key(rows[item_id]["reference_image"]))
            made.append(drawn.get(HeldOutItem(item_id=item_id, title=rows[item_id]["title"], image_bytes=data)))
        except (DataCorrupt, DataMissing) as error:
            context.say(f"item {item_id} is left out: {error}")
            continue
        context.say(f"{len(made)} of {wanted} held-out items drawn for {len(segments)} segments")
    if not made:
        raise DataMissing(f"no held-out item of {context.run_date} has a readable cover; look at raw/images")
    return made


def _notes(context: StageContext, num_items: int) -> list[str]:
    settings = context.settings.evaluation
    notes = [
        f"{num_items} items that the adapter never trained on, each for every segment; all arms draw from the same seeds.",
        "Swapped is the cover of the segment whose vector is least like the segment's own, each used once.",
    ]
    if settings.best_of != 8:
        notes.append(f"The arms called best of 8 choose among {settings.best_of} here (evaluation.best_of).")
    if num_items < settings.items_per_segment:
        notes.append(f"Only {num_items} held-out items were to be had; {settings.items_per_segment} were asked for.")
    if context.settings.source == WORLD:
        notes.append("Truth is the oracle's mean over all users of a segment, on the home page's fourth place.")
    else:
        notes.append(
            f"The data come from {context.settings.source!r}, not from the embedded world: nobody knows the true click "
            "probability or subject of an image, so those metrics and the best achievable cover are left out. Preference is "
            "the model's opinion."
        )
    return notes


def _json(body: object) -> bytes:
    return json.dumps(body, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()
