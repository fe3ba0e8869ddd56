"""What covers are worth to a recommender that reads them, on real readers (classics) or the embedded world.

Trains recommenders on the clicks of a finished day's store and asks them for what held-out readers clicked later: with the
items' own covers, unpersonalised and personalised ones (drawn here by the day's champions), covers of wrong items and of
random segments, and none; popularity and EASE beside them. Writes RESULTS.md and prints one JSON line; covers drawn are kept.
Run: ``python -m benchmarks.downstream --run-date 2026-03-10 --set store=… [--set source=classics] [--items 300]``.
"""

import argparse
import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmarks.results import write_section
from icg_tasks.config import load_settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.covers.engine import CoverEngine, CoverRequest
from icg_tasks.covers.requests import rounded
from icg_tasks.evaluation.downstream.clicks import Clicks, split_clicks
from icg_tasks.evaluation.downstream.compare import Covers, downstream_rows, segments_from_early
from icg_tasks.evaluation.downstream.ranking import RANKING_METRICS
from icg_tasks.lake.partitions import list_partition_dates, read_partition
from icg_tasks.lake.store import open_store
from icg_tasks.models.preference.shown import vector_matrix
from icg_tasks.stage import StageContext

Floats = NDArray[np.float32]


def main() -> None:
    """Run the benchmark."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--run-date", type=date.fromisoformat, required=True)
    words.add_argument("--set", action="append", default=[])
    words.add_argument("--items", type=int, default=300, help="items with the most clicks")
    words.add_argument("--segments", type=int, default=12, help="segments with the most traffic")
    words.add_argument("--seeds", type=int, default=3)
    given = words.parse_args()
    settings = load_settings(overrides=given.set)
    context = StageContext(stage="downstream", run_date=given.run_date, settings=settings, store=open_store(settings.store))
    clicks = read_clicks(context, given.items)
    split = split_clicks(clicks)
    vectors_IV, centroids_SV = item_vectors(context, clicks.item_ids), segment_vectors(context, given.segments)
    segment_U = segments_from_early(split, vectors_IV, centroids_SV)
    width = vectors_IV.shape[1] // 2
    plain_IE, personal_SIE = drawn_vectors(context, clicks.item_ids, centroids_SV)
    covers = Covers(title_IT=vectors_IV[:, width:], own_IE=vectors_IV[:, :width], plain_IE=plain_IE, personal_SIE=personal_SIE)
    rows, gains = downstream_rows(split, covers, segment_U, seeds=given.seeds, say=context.say)
    told = {
        "readers": {"train": len(split.train_U), "validation": len(split.validation_U), "held_out": len(split.test_U)},
        "items": len(clicks.item_ids),
        "segments": len(centroids_SV),
        "clicks": len(clicks.user_N),
    }
    write_section(f"What covers are worth to a recommender: {settings.source}", markdown(rows, gains, told))
    print(json.dumps({**told, "rows": rows, "gains": gains}))


def read_clicks(context: StageContext, num_items: int) -> Clicks:
    """First clicks of every reader on the items clicked most, of all clean days up to the run date."""
    first: dict[tuple[str, str], int] = {}
    for day in list_partition_dates(context.store, keys.IMPRESSIONS):
        if day <= context.run_date:
            table = read_partition(context.store, keys.IMPRESSIONS, day, ["user_id", "item_id", "clicked"])
            table = table.filter(pc.field("clicked"))
            for pair in zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True):
                first.setdefault(pair, day.toordinal())
    counts: dict[str, int] = {}
    for _, item_id in first:
        counts[item_id] = counts.get(item_id, 0) + 1
    chosen = sorted(counts, key=lambda item_id: (-counts[item_id], item_id))[:num_items]
    item_rows = {item_id: row for row, item_id in enumerate(chosen)}
    kept = sorted((pair, day) for pair, day in first.items() if pair[1] in item_rows)
    users = sorted({pair[0] for pair, _ in kept})
    user_rows = {user_id: row for row, user_id in enumerate(users)}
    return Clicks(
        user_ids=users,
        item_ids=chosen,
        user_N=np.array([user_rows[pair[0]] for pair, _ in kept]),
        item_N=np.array([item_rows[pair[1]] for pair, _ in kept]),
        day_N=np.array([day for _, day in kept]),
    )


def item_vectors(context: StageContext, item_ids: list[str]) -> Floats:
    """Item vectors [I, 2E] (own image, title) of the run date; raises DataCorrupt where an item has none."""
    table = read_partition(context.store, keys.ITEM_FEATURES, context.run_date)
    rows = {item_id: row for row, item_id in enumerate(table["item_id"].to_pylist())}
    missing = [item_id for item_id in item_ids if item_id not in rows]
    if missing:
        raise DataCorrupt(f"{len(missing)} clicked items without vector, first {missing[0]}; run embed-items again")
    width = len(table["vector"][0]) if len(table) else 0
    vectors = vector_matrix(table["vector"], width, f"{keys.ITEM_FEATURES} for {context.run_date}")
    return np.asarray(vectors[[rows[item_id] for item_id in item_ids]], dtype=np.float32)


def segment_vectors(context: StageContext, count: int) -> Floats:
    """Centroids [S, 2E] of the segments with the most traffic."""
    table = read_partition(context.store, keys.SEGMENTS, context.run_date).to_pylist()
    rows = sorted((row for row in table if row["segment_id"] != EVERYONE), key=lambda row: row["rank"])
    return np.array([row["centroid"] for row in rows[:count]], dtype=np.float32)


def drawn_vectors(context: StageContext, item_ids: list[str], centroids_SV: Floats) -> tuple[Floats, Floats]:
    """Unit image vectors of covers drawn now: unpersonalised [I, E] and for each segment [S, I, E]; one image each."""
    engine = CoverEngine.load(context)
    rows = {row["item_id"]: row for row in read_partition(context.store, keys.ITEMS, context.run_date).to_pylist()}
    folder = context.scratch("drawn")
    decides = json.dumps([engine.versions.to_json(), centroids_SV.round(6).tolist()], sort_keys=True)
    found = []
    for number, item_id in enumerate(item_ids):
        image = context.store.get(keys.reference_image_key(rows[item_id]["reference_image"]))
        digest = hashlib.sha256(decides.encode() + item_id.encode() + image).hexdigest()[:32]
        path = folder / f"{digest}.npy"
        if not path.exists():
            seed = int(digest[:12], 16)
            wanted = [None, *map(rounded, centroids_SV)]
            requests = [
                CoverRequest(item_id=item_id, title=rows[item_id]["title"], image_bytes=image, user_vector=vector, seed=seed)
                for vector in wanted
            ]
            _save(path, np.stack([cover.vector for cover in engine.generate(requests)]))
        found.append(np.load(path, allow_pickle=False))
        if number % 20 == 19:
            context.say(f"covers of {number + 1} of {len(item_ids)} items are drawn")
    drawn_ISE = np.stack(found).astype(np.float32)
    return drawn_ISE[:, 0], drawn_ISE[:, 1:].transpose(1, 0, 2)


def _save(path: Path, vectors: Floats) -> None:
    half_written = path.with_suffix(".part.npy")
    np.save(half_written, vectors, allow_pickle=False)
    half_written.replace(path)


def markdown(rows: list[dict[str, object]], gains: list[dict[str, object]], told: dict[str, object]) -> str:
    """Both tables and how they came about."""
    cells = {(row["arm"], row["metric"]): row for row in rows}
    text = [f"{json.dumps(told)}", "", f"| recommender reads | {' | '.join(RANKING_METRICS)} |", "|---|---|---|---|"]
    text += [
        f"| {arm} | {' | '.join(_cell(cells[arm, m]) for m in RANKING_METRICS)} |"
        for arm in dict.fromkeys(r["arm"] for r in rows)
    ]
    text += ["", f"| paired difference | {' | '.join(RANKING_METRICS)} |", "|---|---|---|---|"]
    pairs = {(row["arm"], row["less"], row["metric"]): row for row in gains}
    for arm, less in dict.fromkeys((row["arm"], row["less"]) for row in gains):
        text.append(f"| {arm} − {less} | {' | '.join(_cell(pairs[arm, less, m]) for m in RANKING_METRICS)} |")
    return "\n".join(text)


def _cell(row: dict[str, object]) -> str:
    return f"{row['mean']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"


if __name__ == "__main__":
    main()
