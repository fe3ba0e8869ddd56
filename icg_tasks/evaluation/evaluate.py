"""``icg evaluate``: what the day's models are worth on items that no training of the adapter saw, arm by arm, with intervals.

Writes ``reports/ds=…/evaluation.json`` (the table), ``evaluation.md`` and ``evaluation.html`` (the same for people, with paired
gains and notes), and ``evaluation_detail.json`` with the judged images beside it. Where the data came from the embedded world,
the oracle's truth and an independent judge are asked (``world_truth``, ``world_judge``); elsewhere those rows are left out and
the notes say why.
"""

import json
from collections.abc import Sequence

import numpy as np

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.evaluation.arm_figures import arm_rows
from icg_tasks.evaluation.arms import HELD_OUT_LOGIT, WORLD_METRICS, HeldOutItem, Segment, held_out_order, least_alike
from icg_tasks.evaluation.catalogue_seen import see_catalogue
from icg_tasks.evaluation.drawn import DrawnItems
from icg_tasks.evaluation.judged import JudgedPairs
from icg_tasks.evaluation.looking import compared_side, look
from icg_tasks.evaluation.making import ItemImages, Studio, arm_images
from icg_tasks.evaluation.metrics.resampling import over_groups
from icg_tasks.evaluation.notes import held_out_notes, image_notes, truth_is_known
from icg_tasks.evaluation.report_data import Evaluation
from icg_tasks.evaluation.report_page import evaluation_page
from icg_tasks.evaluation.rivals import add_rivals
from icg_tasks.evaluation.table import Row, gain_rows, in_order, markdown, share_rows, table_rows
from icg_tasks.evaluation.towers import open_tower
from icg_tasks.lake.partitions import read_partition
from icg_tasks.stage import StageContext


def run(context: StageContext) -> StageOutcome:
    """Judge the day; raises DataMissing without segments, held-out items or champions."""
    settings = context.settings.evaluation
    segments, studio = read_segments(context), Studio.load(context)
    made = _make_all(context, studio, segments)
    judged = JudgedPairs()
    swaps = least_alike(np.stack([segment.taste_in_looks for segment in segments]))
    for images in made:
        for row, swapped in enumerate(swaps):
            judged.add(studio, segments[row], images, arm_images(studio, images, segments[row], row, swapped))
    add_rivals(context, studio, judged, segments)
    if truth_is_known(context.settings):
        from icg_tasks.evaluation.world_truth import add_truth

        add_truth(context, studio, judged)
    figures, said = _image_figures(context, judged)
    notes = [*held_out_notes(context.settings, len(made), segments), *said]
    values = judged.values()
    resampling = over_groups([pair.made.item.item_id for pair in judged.pairs], settings.bootstrap_samples, settings.seed)
    rows, gains = in_order([*table_rows(values, resampling), *figures]), gain_rows(values, resampling)
    shares = share_rows(values, resampling, (*WORLD_METRICS[:2], HELD_OUT_LOGIT))
    prefix = keys.partition_prefix(keys.REPORTS, context.run_date)
    detail = judged.detail(context.store, f"{prefix}/evaluation") | {"gains": gains, "shares": shares, "notes": notes}
    text = markdown(rows, gains, shares, notes)
    context.store.put(f"{prefix}/evaluation_detail.json", _json(detail | {"versions": studio.versions}))
    context.store.put(f"{prefix}/evaluation.md", f"# Evaluation of {context.run_date}\n\n{text}".encode())
    page = evaluation_page(Evaluation(rows=rows, detail=detail), context.run_date, context.settings.source)
    context.store.put(f"{prefix}/evaluation.html", page.encode())
    context.store.put(f"{prefix}/evaluation.json", _json(rows))
    context.say("\n" + text)
    return StageOutcome(
        outputs=[
            f"{prefix}/{name}" for name in ("evaluation.json", "evaluation.md", "evaluation.html", "evaluation_detail.json")
        ],
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


def _image_figures(context: StageContext, judged: JudgedPairs) -> tuple[list[Row], list[str]]:
    """Image metrics: those of pairs into the pairs, those of whole arms as rows, and what must be said of them."""
    settings = context.settings
    tower, side = open_tower(settings), compared_side(settings.covers.size_pixels)
    catalogue = see_catalogue(context, tower, side, {pair.made.item.item_id for pair in judged.pairs})
    context.say(f"looking at the covers by {tower.name}")
    looked = look(judged, tower, catalogue, side, lambda: context.stop.check("the drawn items are kept"))
    real = None if catalogue is None else catalogue.vectors_NE
    rows = arm_rows(looked, real, settings.evaluation.bootstrap_samples, settings.evaluation.seed)
    return rows, image_notes(settings, tower, catalogue, looked, side)


def _json(body: object) -> bytes:
    return json.dumps(body, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()
