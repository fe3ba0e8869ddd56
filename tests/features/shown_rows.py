"""Rows, vectors and the ten-line reference that partial sums are checked against. No Spark: the kernels themselves are run."""

from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from icg_tasks.config.features import EventSettings
from icg_tasks.contracts.schemas import VECTOR
from icg_tasks.features.block_sums import day_sums
from icg_tasks.features.event_weights import RATE_PRIOR_IMPRESSIONS, place_sums, rates_of
from icg_tasks.features.user_blocks import BlockMaker, Shown
from icg_tasks.features.vector_files import write_vectors

DAY = date(2026, 3, 4)
WIDTH = 6
ITEMS = [f"item{number}" for number in range(5)]  # item4 has no vector
COVERS = ["c0", "c1"]  # and c2 has none
_RNG = np.random.default_rng(3)
ITEM_VECTORS = _RNG.uniform(-1, 1, size=(4, WIDTH)).astype(np.float32)
COVER_VECTORS = _RNG.uniform(-1, 1, size=(2, WIDTH // 2)).astype(np.float32)


def vectors_of(key: str, ids: list[str], matrix: np.ndarray, folder: Path):
    table = pa.table({key: ids, "vector": pa.array(list(matrix), VECTOR)})
    return write_vectors([table.slice(0, 1), table], key, matrix.shape[1], folder, len(ids), [str(folder)])


def shown(folder: Path) -> Shown:
    items = vectors_of("item_id", ITEMS[:4], ITEM_VECTORS, folder)
    return Shown(items=items, covers=vectors_of("cover_id", COVERS, COVER_VECTORS, folder))


def table_of(rows: list[dict]) -> pa.Table:
    """Rows with the columns that sums are told from; what is left out gets a default."""
    default = {"surface": "home", "position": 0, "cover_id": None, "clicked": False, "dwell_seconds": None, "propensity": 1.0}
    noon = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
    schema = pa.schema([(name, pa.string()) for name in ("user_id", "item_id", "surface", "cover_id")])
    numbers = [("position", pa.int32()), ("clicked", pa.bool_()), ("dwell_seconds", pa.float64()), ("propensity", pa.float64())]
    for name, kind in [*numbers, ("shown_at", pa.timestamp("ms", tz="UTC"))]:
        schema = schema.append(pa.field(name, kind))
    return pa.Table.from_pylist([default | {"shown_at": noon} | row for row in rows], schema=schema)


def summed(tables: list[pa.Table], vectors: Shown, events: EventSettings | None = None, num_buckets: int = 2) -> pa.Table:
    """Partial sums of the day's chunks, all buckets below each other, by the production path."""
    events = events or EventSettings()
    sums: dict = defaultdict(lambda: (0, 0))
    for row in (row for table in tables for row in place_sums(table, DAY, events).to_pylist()):
        place, (shown_units, gained) = (row["surface"], row["position"]), sums[row["surface"], row["position"]]
        sums[place] = (shown_units + row["importance"], gained + row["reward"])
    maker = BlockMaker(events=events, rates={DAY: rates_of(sums)}, shown={DAY: vectors}, num_buckets=num_buckets)
    blocks: dict = defaultdict(list)
    for row in (row for batch in maker(DAY, tables) for row in batch.to_pylist()):
        blocks[row["bucket"]].append(row["block"])
    return pa.concat_tables([day_sums(blocks[bucket], vectors) for bucket in sorted(blocks)])


def reference(rows: list[dict], events: EventSettings | None = None) -> dict[str, list]:
    """The definition, row by row in floats: user -> [vector sum, information, impressions, clicks]."""
    say, sums, found = events or EventSettings(), defaultdict(lambda: [0.0, 0.0]), {}
    judged = [(row, importance(row, say), reward(row, say)) for row in table_of(rows).to_pylist()]
    for row, weight, gain in judged:
        for key in ((row["surface"], row["position"]), "all"):
            sums[key] = [sums[key][0] + weight, sums[key][1] + weight * gain]
    for row, weight, gain in judged:
        place, prior = sums[row["surface"], row["position"]], RATE_PRIOR_IMPRESSIONS
        rate = (place[1] + (prior * sums["all"][1] / sums["all"][0] if sums["all"][0] else 0)) / (place[0] + prior)
        entry = found.setdefault(row["user_id"], [np.zeros(WIDTH), 0.0, 0, 0])
        entry[0] = entry[0] + weight * (gain - rate) * vector(row)
        entry[1:] = [entry[1] + weight * rate * (1 - rate), entry[2] + 1, entry[3] + row["clicked"]]
    return found


def importance(row: dict, say: EventSettings) -> float:
    hours = ((datetime(DAY.year, DAY.month, DAY.day + 1, tzinfo=UTC) - row["shown_at"]).total_seconds()) / 3600
    recent = 0.5 ** (max(hours, 0) / say.recency_half_life_hours) if say.recency_half_life_hours else 1.0
    corrected = min(1 / row["propensity"], say.max_propensity_weight) if say.max_propensity_weight else 1.0
    kind = say.click_weight if row["clicked"] else say.skip_weight
    return kind * recent * corrected * (1 + row["position"]) ** -say.position_discount


def reward(row: dict, say: EventSettings) -> float:
    if not row["clicked"] or not say.full_dwell_seconds or row["dwell_seconds"] is None:
        return float(row["clicked"])
    least = say.least_dwell_reward
    return least + (1 - least) * min(row["dwell_seconds"] / say.full_dwell_seconds, 1.0)


def vector(row: dict) -> np.ndarray:
    number = ITEMS.index(row["item_id"])
    found = np.array(ITEM_VECTORS[number] if number < 4 else np.zeros(WIDTH), dtype=np.float64)
    if row["cover_id"] is not None:
        found[: WIDTH // 2] = COVER_VECTORS[COVERS.index(row["cover_id"])] if row["cover_id"] in COVERS else 0
    return found
