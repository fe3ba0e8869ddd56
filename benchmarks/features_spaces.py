"""Which vectors predict better what readers click tomorrow: content or collaborative ones, of users and of their segments.

``python -m benchmarks.features_spaces --store STORE --run-date D [--scratch FOLDER]`` on a store with clean impressions up to D
and item vectors of D (a finished ``make demo``; nothing is written there). The real stages make vectors and segments as of the
day before, in both ways, in a scratch store; D's clicks are then ranked by each. Told is the area under the curve within
places (surface, position), so that where a cover stood explains nothing; intervals of 95 % from twenty parts of the users, and
paired differences to content. Writes RESULTS.md.
"""

import argparse
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.results import write_section
from icg_tasks.config import load_settings
from icg_tasks.config.settings import Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.stages import ASSIGN_SEGMENTS, BUILD_USER_EMBEDDINGS
from icg_tasks.features.exact_sums import vector_matrix
from icg_tasks.lake.partitions import find_partition, list_partition_dates, read_partition
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.stage import StageContext

_PARTS = 20
Floats = NDArray[np.float64]


def copied(source: ObjectStore, target: ObjectStore, day: date) -> None:
    """What the stages read, up to the day before; its items and their vectors are those of ``day`` itself."""
    before = day - timedelta(days=1)
    wanted = [(keys.IMPRESSIONS, past, past) for past in list_partition_dates(source, keys.IMPRESSIONS) if past < day]
    wanted += [(dataset, day, before) for dataset in (keys.ITEMS, keys.ITEM_FEATURES)]
    for dataset, there, here in wanted:
        prefix = f"{keys.partition_prefix(dataset, there)}/"
        for key in source.list(prefix):
            data = source.get(key)
            if key.endswith(keys.PARTITION_MANIFEST) and there != here:
                data = data.replace(there.isoformat().encode(), here.isoformat().encode())
            target.put(key.replace(there.isoformat(), here.isoformat()), data)


def vectors(store: ObjectStore, dataset: str, day: date, key: str) -> tuple[list[str], Floats]:
    """Ids and vectors of a partition."""
    table = read_partition(store, dataset, day, [key, "vector"])
    return table[key].to_pylist(), vector_matrix(table["vector"], len(table["vector"][0])).astype(np.float64)


def scores(rows: pa.Table, users: tuple[list[str], Floats], items: tuple[list[str], Floats]) -> Floats:
    """User's vector times the item's about the catalogue's mean; 0 where either has none."""
    found = []
    for names, matrix, column in ((*users, "user_id"), (items[0], items[1] - items[1].mean(axis=0), "item_id")):
        place = {name: row for row, name in enumerate(names)}
        at_N = np.array([place.get(name, len(names)) for name in rows[column].to_pylist()])
        found.append(np.vstack([matrix, np.zeros(matrix.shape[1])])[at_N])
    return np.asarray((found[0] * found[1]).sum(axis=1))


def curve_area(score_N: Floats, click_N: NDArray[np.bool_], place_N: NDArray[np.int64]) -> float:
    """Area under the curve within places, each by its pairs of a click and a non-click.

    >>> curve_area(np.array([2.0, 1.0, 0.0, 9.0]), np.array([True, False, False, True]), np.array([0, 0, 0, 1]))
    1.0
    """
    won, pairs = 0.0, 0.0
    for place in np.unique(place_N):
        mine = place_N == place
        clicks, others = int(click_N[mine].sum()), int((~click_N[mine]).sum())
        rank_N = rankdata(score_N[mine])
        won += float(rank_N[click_N[mine]].sum()) - clicks * (clicks + 1) / 2
        pairs += clicks * others
    return won / pairs if pairs else float("nan")


def measured(store: ObjectStore, rows: pa.Table, settings: Settings, before: date) -> dict[str, Floats]:
    """Scores of the day's rows by each kind of vector, the stages run as of the day before."""
    from icg_tasks.spark_session import spark_session
    from spark_jobs import assign_segments, build_user_embeddings

    found: dict[str, Floats] = {}
    with spark_session(settings.spark, "spaces"):
        for kind in ("content", "collaborative"):
            told = replace(settings, features=replace(settings.features, segment_vectors=kind, factor_days=1))
            for stage, job in ((BUILD_USER_EMBEDDINGS, build_user_embeddings), (ASSIGN_SEGMENTS, assign_segments)):
                job.run(StageContext(stage=stage, run_date=before, settings=told, store=store))
            items = vectors(store, keys.ITEM_FEATURES, before, "item_id")
            members = read_partition(store, keys.USER_SEGMENTS, before).to_pydict()
            segments, centroids = read_partition(store, keys.SEGMENTS, before), {}
            for row in segments.select(["segment_id", "centroid"]).to_pylist():
                centroids[row["segment_id"]] = row["centroid"]
            nobody = np.zeros(items[1].shape[1])
            of_user = np.array([centroids.get(name, nobody) for name in members["segment_id"]])
            users = keys.USERS if kind == "content" else keys.TASTES
            own_items = items if kind == "content" else vectors(store, keys.ITEM_FACTORS, before, "item_id")
            found[f"users, {kind}"] = scores(rows, vectors(store, users, before, "user_id"), own_items)
            found[f"segments told by {kind}"] = scores(rows, (members["user_id"], of_user), items)
    both = [values / values.std() for name, values in found.items() if name.startswith("users")]
    return found | {"users, both added": np.asarray(sum(both))}


def table_of(
    found: dict[str, Floats], click_N: NDArray[np.bool_], place_N: NDArray[np.int64], part_N: NDArray[np.int64]
) -> str:
    """Markdown: area, interval, paired difference to content of the same kind."""
    areas = {
        name: np.array([curve_area(values[part_N == part], click_N[part_N == part], place_N[part_N == part])
                        for part in range(_PARTS)])
        for name, values in found.items()
    }  # fmt: skip
    lines = ["| clicks ranked by | area under the curve | less content |", "|---|---|---|"]
    for name, values in areas.items():
        base = areas["segments told by content" if name.startswith("segments") else "users, content"]
        lines.append(f"| {name} | {_interval(values)} | {'–' if values is base else _interval(values - base)} |")
    return "\n".join(lines)


def _interval(values: Floats) -> str:
    reach = 1.96 * float(values.std(ddof=1)) / np.sqrt(len(values))
    return f"{values.mean():.4f} [{values.mean() - reach:.4f}, {values.mean() + reach:.4f}]"


def main() -> None:
    """Copy, run, rank, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--run-date", type=date.fromisoformat, required=True)
    parser.add_argument("--scratch", type=Path, help="kept; otherwise a temporary folder")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = arguments.scratch or Path(folder)
        source, store = open_store(arguments.store), open_store(str(place / "store"))
        if find_partition(source, keys.ITEM_FEATURES, arguments.run_date) is None:
            parser.error(f"{arguments.store} has no item vectors of {arguments.run_date}; run `make demo` for that date first")
        copied(source, store, arguments.run_date)
        rows = read_partition(source, keys.IMPRESSIONS, arguments.run_date)
        rows = rows.filter(rows["cover_id"].is_null())
        overrides = [f"store={place / 'store'}", f"work_folder={place / 'work'}", *arguments.set]
        found = measured(store, rows, load_settings("tiny", overrides), arguments.run_date - timedelta(days=1))
    users = np.unique(np.array(rows["user_id"].to_pylist()), return_inverse=True)[1]
    places = list(zip(rows["surface"].to_pylist(), rows["position"].to_pylist(), strict=True))
    number: dict[Any, int] = {name: row for row, name in enumerate(sorted(set(places)))}
    place_N = np.array([number[name] for name in places], dtype=np.int64)
    click_N = np.array(rows["clicked"].to_pylist(), dtype=bool)
    head = f"{len(rows):,} impressions of own covers, {int(click_N.sum()):,} clicks, {users.max() + 1:,} users.\n\n"
    write_section("Content and collaborative vectors", head + table_of(found, click_N, place_N, users % _PARTS))


if __name__ == "__main__":
    main()
