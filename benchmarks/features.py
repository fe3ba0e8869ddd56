"""User vectors at the size of a platform: rows per second beside DuckDB and Polars, memory, and what a long history costs.

``python -m benchmarks.features --rows 1000000 --rows 10000000 --rows 50000000 [--sides spark,duckdb,polars] [--repeats 3]``
measures sizes (each may be a run of its own: figures are kept in --folder and all are reported), ``--history ROWS`` the cost of
day 60 beside day 2. Sides alternate, each in a process of its own on the same files; medians are reported, processor seconds
beside seconds, since the former hardly depend on what else the machine does. Writes RESULTS.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.features_sides import DAY
from benchmarks.plots import line_plot
from benchmarks.results import write_section
from icg_tasks.config.features import FeatureSettings
from icg_tasks.config.settings import Settings, SparkSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.stages import BUILD_USER_EMBEDDINGS
from icg_tasks.lake.partitions import find_partition, finish_partition, write_partition, write_partition_part
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.stage import StageContext

WIDTH = 64
MEMORY = "2g"
_ITEMS = 20_000
_FILE_ROWS = 1_000_000
_ROWS_PER_USER = 10
_HISTORY = 60


def user_ids(count: int) -> pa.StringArray:
    """Keyed hashes as the door makes them: 32 hex digits."""
    halves = np.random.default_rng(1).integers(0, 256, size=(count, 16), dtype=np.uint8)
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    text = np.stack([digits[halves >> 4], digits[halves & 15]], axis=2)
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * 32)
    return pa.StringArray.from_buffers(count, offsets.buffers()[1], pa.py_buffer(text.tobytes()))


def write_catalogue(store: ObjectStore, day: date) -> None:
    """Vectors of items: two unit halves."""
    halves = np.random.default_rng(2).normal(size=(_ITEMS, 2, WIDTH // 2))
    vectors = (halves / np.linalg.norm(halves, axis=2, keepdims=True)).reshape(_ITEMS, WIDTH).astype(np.float32)
    ids = [f"item{number:06d}" for number in range(_ITEMS)]
    columns = {
        "item_id": ids,
        "content_hash": ids,
        "encoder": ["e"] * _ITEMS,
        "vector": pa.array(list(vectors), schemas.VECTOR),
    }
    metadata = {"encoder": "e", "width": WIDTH}
    write_partition(store, keys.ITEM_FEATURES, day, [pa.table(columns)], schema=schemas.ITEM_FEATURES, metadata=metadata)


def write_rows(store: ObjectStore, day: date, rows: int, users: pa.StringArray) -> None:
    """A day of impressions, a file per million rows."""
    ids = pa.array([f"item{number:06d}" for number in range(_ITEMS)])
    files = []
    for number, start in enumerate(range(0, rows, _FILE_ROWS)):
        count, rng = min(_FILE_ROWS, rows - start), np.random.default_rng([day.toordinal(), number])
        noon = 86_400_000 * (day - date(1970, 1, 1)).days
        table = pa.table(
            {
                "impression_id": pa.array(np.arange(start, start + count)).cast(pa.string()),
                "user_id": users.take(pa.array(rng.integers(len(users), size=count))),
                "item_id": ids.take(pa.array((_ITEMS * rng.random(count) ** 2).astype(np.int64))),
                "shown_at": pa.array(np.sort(rng.integers(86_400_000, size=count)) + noon, schemas.TIMESTAMP),
                "surface": pa.array(["home", "search"]).take(pa.array(rng.integers(2, size=count))),
                "position": pa.array(rng.integers(12, size=count).astype(np.int32)),
                "cover_id": pa.nulls(count, pa.string()),
                "propensity": np.ones(count),
                "clicked": rng.random(count) < 0.1,
                "dwell_seconds": pa.nulls(count, pa.float64()),
            }
        )
        files.append(write_partition_part(store, keys.IMPRESSIONS, day, number, table, schema=schemas.IMPRESSIONS))
    finish_partition(store, keys.IMPRESSIONS, day, files)


def measure_size(folder: Path, rows: int, sides: list[str], repeats: int, memory: str) -> None:
    """All sides on one day of so many rows, alternating; figures are added to the folder's."""
    place = folder / f"{rows}"
    store = open_store(str(place / "store"))
    if find_partition(store, keys.IMPRESSIONS, DAY) is None:
        write_catalogue(store, DAY)
        write_rows(store, DAY, rows, user_ids(max(rows // _ROWS_PER_USER, 1)))
    for _ in range(repeats):
        for side in sides:
            words = [sys.executable, "-m", "benchmarks.features_sides", side, str(place), "--memory", memory]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{side} at {rows} rows failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr, flush=True)
                continue
            name = side if memory == MEMORY else f"{side}, {memory}"
            found = json.loads(done.stdout.splitlines()[-1]) | {"rows": rows, "side": name, "memory": memory}
            print(found, file=sys.stderr, flush=True)
            _keep(folder, found)


def measure_history(folder: Path, rows: int) -> None:
    """Day 2 with one day before it, day 60 with 59, with and without carried windows; each run three times."""
    from icg_tasks.spark_session import spark_session
    from spark_jobs import build_user_embeddings as job

    place = folder / f"history-{rows}"
    store, users = open_store(str(place / "store")), user_ids(max(rows // _ROWS_PER_USER, 1))
    days = [DAY + timedelta(days=number) for number in range(_HISTORY)]
    for day in days:
        if find_partition(store, keys.IMPRESSIONS, day) is None:
            write_catalogue(store, day)
            write_rows(store, day, rows, users)
    spark_settings = SparkSettings(master="local[2]", shuffle_partitions=4)

    def run(number: int, carry: bool) -> float:
        features = FeatureSettings(window_days=_HISTORY, half_life_days=21.0, carry_window=carry)
        settings = Settings(store=store.uri, work_folder=str(place / "work"), features=features, spark=spark_settings)
        began = time.perf_counter()
        job.run(StageContext(stage=BUILD_USER_EMBEDDINGS, run_date=days[number - 1], settings=settings, store=store))
        return time.perf_counter() - began

    def forget(number: int) -> None:
        for dataset in (keys.USER_DAYS, keys.USER_WINDOWS, keys.USERS):
            for key in list(store.list(f"{keys.partition_prefix(dataset, days[number - 1])}/")):
                store.delete(key)

    with spark_session(spark_settings, "features-history"):
        run(1, True)
        run(_HISTORY - 1, True)
        for _ in range(3):
            for number in (2, _HISTORY):
                for carry in (True, False):
                    forget(number)
                    _keep(folder, {"history": number, "carry": carry, "rows": rows, "seconds": run(number, carry)})


def _keep(folder: Path, found: dict[str, Any]) -> None:
    with (folder / "figures.jsonl").open("a") as file:
        file.write(json.dumps(found) + "\n")


def report(found: list[dict[str, Any]]) -> str:
    """The section of all figures kept."""
    sizes = [line for line in found if "side" in line]
    parts = [_size_table(sizes), _plots(sizes)] if sizes else []
    history = [line for line in found if "history" in line]
    return "\n\n".join([*parts, *([_history_table(history)] if history else [])])


def _median(lines: list[dict[str, Any]], key: str, **where: Any) -> float:
    values = [line[key] for line in lines if all(line[name] == value for name, value in where.items())]
    return statistics.median(values) if values else float("nan")


def _size_table(lines: list[dict[str, Any]]) -> str:
    head = (
        "Partial sums of 64 components per user of one day, ten rows a user, user ids of 32 hex digits; Parquet in, Parquet"
        " out. Medians. Start (JVM, workers) apart. The last two columns are rows per second, and per processor second, against"
        f" DuckDB's in as much memory: {MEMORY} where nothing else is said.\n\n"
        "| rows | side | runs | start s | seconds | processor s | rows/s | peak MiB | speed / DuckDB | the same, processor |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    rows = [head]
    for size, side in sorted({(line["rows"], line["side"]) for line in lines}):
        mine = {"rows": size, "side": side}
        seconds, processor = _median(lines, "seconds", **mine), _median(lines, "processor", **mine)
        duck = {"rows": size, "side": f"duckdb{side[side.find(',') :] if ',' in side else ''}"}  # in as much memory
        ratios = [_median(lines, name, **duck) / value for name, value in (("seconds", seconds), ("processor", processor))]
        runs = sum(line["rows"] == size and line["side"] == side for line in lines)
        start, peak = _median(lines, "start", **mine), _median(lines, "peak_bytes", **mine) / 2**20
        rows.append(
            f"| {size:,} | {side} | {runs} | {start:.1f} | {seconds:.1f} | {processor:.1f} |"
            f" {size / seconds:,.0f} | {peak:,.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} |"
        )
    sums = {(line["rows"], *line["checksum"][:2]) for line in lines}
    agree = "All sides found the same users and impressions." if len(sums) == len({line["rows"] for line in lines}) else (
        f"THE SIDES DISAGREE: {sorted(sums)}"
    )  # fmt: skip
    return "\n".join([*rows, "", agree])


def _plots(lines: list[dict[str, Any]]) -> str:
    curves = {
        side: [
            (size / 1e6, _median(lines, "processor", rows=size, side=side))
            for size in sorted({line["rows"] for line in lines if line["side"] == side})
        ]
        for side in sorted({line["side"] for line in lines})
    }
    return line_plot("features_growth", "Processor seconds by rows", "million rows", curves)


def _history_table(lines: list[dict[str, Any]]) -> str:
    rows = ["| run | rows a day | window sums | seconds | against day 2 |", "|---|---|---|---|---|"]
    for size, carry, number in sorted({(line["rows"], line["carry"], line["history"]) for line in lines}):
        where = {"rows": size, "carry": carry}
        seconds = _median(lines, "seconds", history=number, **where)
        against = seconds / _median(lines, "seconds", history=2, **where)
        rows.append(f"| day {number} | {size:,} | {'carried' if carry else 'added up anew'} | {seconds:.1f} | {against:.2f} |")
    return "\n".join(rows)


def main() -> None:
    """Measure what was asked for, then report all that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append", default=[], help="a size; may be given again")
    parser.add_argument("--sides", default="duckdb,spark,polars")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", default=MEMORY, help="Spark's heap; DuckDB's limit")
    parser.add_argument("--history", type=int, default=0, metavar="ROWS", help="rows a day of the history of 60 days")
    parser.add_argument("--folder", type=Path, default=Path(".cache/features-benchmark"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for rows in arguments.rows:
        measure_size(arguments.folder, rows, arguments.sides.split(","), arguments.repeats, arguments.memory)
    if arguments.history:
        measure_history(arguments.folder, arguments.history)
    lines = [json.loads(line) for line in (arguments.folder / "figures.jsonl").read_text().splitlines()]
    write_section("User vectors at size", report(lines))


if __name__ == "__main__":
    main()
