"""What validation costs beside the day's Spark work: one day of raw rows through the real stages, each in a process of its own.

``python -m benchmarks.features_validation --rows 1000000 --rows 10000000 [--repeats 3] [--engine auto]``. Makes raw impressions
and a clean catalogue, then runs validate-impressions, build-user-embeddings and assign-segments on one date, as ``icg`` would.
What a process must do before its first row is told apart: importing Great Expectations there, starting the JVM and its workers
here. A run of ``--stage`` is one such process. Writes RESULTS.md; figures are kept in --folder and all are reported.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.features import WIDTH, write_catalogue
from benchmarks.features_sides import DAY, Tree
from benchmarks.results import write_section
from icg_tasks.config.features import FeatureSettings
from icg_tasks.config.intake import IntakeSettings
from icg_tasks.config.settings import Settings, SparkSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.pseudonym import KEY_VARIABLE
from icg_tasks.contracts.stages import ASSIGN_SEGMENTS, BUILD_USER_EMBEDDINGS, VALIDATE_IMPRESSIONS, StageOutcome
from icg_tasks.lake.partitions import find_partition, finish_partition, read_partition, write_partition, write_partition_part
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.stage import StageContext

STAGES = (VALIDATE_IMPRESSIONS, BUILD_USER_EMBEDDINGS, ASSIGN_SEGMENTS)
_FILE_ROWS = 1_000_000
_ROWS_PER_USER = 10
_BAD_SHARE = 0.004


def write_raw(store: ObjectStore, day: date, rows: int) -> None:
    """A day as a platform writes it: user ids in plain, times as text, one row in 250 wrong, a file per million rows."""
    ids = pa.array(read_partition(store, keys.ITEM_FEATURES, day, ["item_id"])["item_id"].to_pylist())
    files = []
    for number, start in enumerate(range(0, rows, _FILE_ROWS)):
        count, rng = min(_FILE_ROWS, rows - start), np.random.default_rng([7, number])
        clicked = (rng.random(count) < 0.1).astype(np.int64)
        seconds = np.datetime64(day.isoformat()) + np.sort(rng.integers(86_400_000, size=count)).astype("timedelta64[ms]")
        table = pa.table(
            {
                "impression_id": pa.array(np.char.add(f"{day.isoformat()}-", np.arange(start, start + count).astype(str))),
                "user_id": pa.array(np.char.add("u-", rng.integers(max(rows // _ROWS_PER_USER, 1), size=count).astype(str))),
                "item_id": ids.take(pa.array((len(ids) * rng.random(count) ** 2).astype(np.int64))),
                "shown_at": pa.array(np.char.add(seconds.astype(str), "Z")),
                "surface": pa.array(["home", "search"]).take(pa.array(rng.integers(2, size=count))),
                "position": np.where(rng.random(count) < _BAD_SHARE, -1, rng.integers(12, size=count)),
                "cover_id": pa.nulls(count, pa.string()),
                "propensity": np.ones(count),
                "clicked": clicked,
                "dwell_seconds": pa.array(np.where(clicked == 1, 12.5, np.nan), from_pandas=True),
            }
        )
        files.append(write_partition_part(store, keys.IMPRESSIONS_RAW, day, number, table, schema=schemas.RAW_IMPRESSIONS))
    finish_partition(store, keys.IMPRESSIONS_RAW, day, files)


def write_clean_catalogue(store: ObjectStore, day: date) -> None:
    """The items that have vectors, as validate-items would leave them."""
    names = read_partition(store, keys.ITEM_FEATURES, day, ["item_id"])["item_id"]
    rows = {
        name: names if name == "item_id" else pa.nulls(len(names), schemas.ITEMS.field(name).type)
        for name in schemas.ITEMS.names
    }
    write_partition(store, keys.ITEMS, day, [pa.table(rows, schema=schemas.ITEMS)], schema=schemas.ITEMS)


def prepared(folder: Path, rows: int) -> ObjectStore:
    """A store with everything that the three stages read."""
    store = open_store(str(folder / f"validation-{rows}" / "store"))
    if find_partition(store, keys.IMPRESSIONS_RAW, DAY) is None:
        for day in (DAY - timedelta(days=1), DAY):
            write_catalogue(store, day)
            write_clean_catalogue(store, day)
        write_raw(store, DAY, rows)
    return store


def run_stage(stage: str, store: ObjectStore, rows: int, engine: str) -> dict[str, Any]:
    """One stage in this process: seconds to start, seconds of work, processor seconds of work, peak bytes."""
    tree, began = Tree(), time.perf_counter()
    features = FeatureSettings(min_segment_users=20, segment_counts="")
    spark = SparkSettings(shuffle_partitions=max(4, rows // 2_000_000))
    settings = Settings(
        store=store.uri,
        work_folder=str(Path(store.address("x")).parent.parent / "work"),
        features=features,
        intake=replace(IntakeSettings(), engine=engine, max_raw_file_bytes=20_000_000_000),
        spark=spark,
    )
    context = StageContext(stage=stage, run_date=DAY, settings=settings, store=store)
    with ExitStack() as until_done:
        work = started_validation(context) if stage == VALIDATE_IMPRESSIONS else started_spark(context, stage, until_done)
        marks = [(time.perf_counter(), tree.processor_seconds())]
        outcome = work()
        marks.append((time.perf_counter(), tree.processor_seconds()))
    return {
        "start": marks[0][0] - began,
        "seconds": marks[1][0] - marks[0][0],
        "processor": marks[1][1] - marks[0][1],
        "peak_bytes": tree.peak_bytes,
        "counts": outcome.counts,
    }


def started_validation(context: StageContext) -> Callable[[], StageOutcome]:
    """The stage, Great Expectations imported; where its suite runs on Spark, the JVM's start counts as work."""
    from icg_tasks.intake import validate_impressions

    importlib.import_module("icg_tasks.intake.suites")  # which imports it
    return lambda: validate_impressions.run(context)


def started_spark(context: StageContext, stage: str, until_done: ExitStack) -> Callable[[], StageOutcome]:
    """The stage, its session and workers there."""
    from icg_tasks.spark_session import spark_session
    from spark_jobs import assign_segments, build_user_embeddings

    job = build_user_embeddings if stage == BUILD_USER_EMBEDDINGS else assign_segments
    session = until_done.enter_context(spark_session(context.settings.spark, stage))
    session.range(0, 8, 1, 4).mapInArrow(lambda batches: batches, "id long").count()
    return lambda: job.run(context)


def measure(folder: Path, rows: int, repeats: int, engine: str) -> None:
    """All three stages, one after the other, as often as asked; each from the same raw files."""
    store = prepared(folder, rows)
    for _ in range(repeats):
        for dataset in ("clean/impressions", "quarantine", "features/user", "features/segments", "reports"):
            for key in list(store.list(f"{dataset}")):
                store.delete(key)
        for stage in STAGES:
            words = [sys.executable, "-m", "benchmarks.features_validation", "--stage", stage, "--rows", str(rows)]
            words += ["--folder", str(folder), "--engine", engine]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{stage} at {rows} rows failed:\n{done.stderr[-2000:]}")
            found = json.loads(done.stdout.splitlines()[-1]) | {"rows": rows, "stage": stage, "engine": engine}
            print(found, file=sys.stderr, flush=True)
            with (folder / "validation.jsonl").open("a") as file:
                file.write(json.dumps(found) + "\n")


def report(lines: list[dict[str, Any]]) -> str:
    """The section of all figures kept: stages, then the share that validation takes."""
    rows = [
        f"One day of raw rows through the real stages, each in a process of its own; {_ROWS_PER_USER} rows a user, vectors of "
        f"{WIDTH}. Medians. Start apart: importing Great Expectations, or the JVM and its workers.\n",
        "| rows | engine | stage | runs | start s | seconds | processor s | peak MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    sizes = sorted({(line["rows"], line["engine"]) for line in lines})
    for size, engine in sizes:
        for stage in STAGES:
            mine = [line for line in lines if (line["rows"], line["engine"], line["stage"]) == (size, engine, stage)]
            figures = [
                statistics.median(line[name] for line in mine) for name in ("start", "seconds", "processor", "peak_bytes")
            ]
            rows.append(
                f"| {size:,} | {engine} | {stage} | {len(mine)} | {figures[0]:.1f} | {figures[1]:.1f} | {figures[2]:.1f} |"
                f" {figures[3] / 2**20:,.0f} |"
            )
    rows += [
        "",
        "| rows | engine | validation / Spark stages, seconds | starts included | processor seconds |",
        "|---|---|---|---|---|",
    ]
    for size, engine in sizes:
        chosen = [line for line in lines if (line["rows"], line["engine"]) == (size, engine)]
        shares = [share(chosen, names) for names in (("seconds",), ("start", "seconds"), ("processor",))]
        rows.append(f"| {size:,} | {engine} | {shares[0]:.2f} | {shares[1]:.2f} | {shares[2]:.2f} |")
    return "\n".join(rows)


def share(lines: list[dict[str, Any]], names: tuple[str, ...]) -> float:
    """Validation's median against the sum of the Spark stages' medians."""
    of = {
        stage: statistics.median(sum(line[name] for name in names) for line in lines if line["stage"] == stage)
        for stage in STAGES
    }
    return of[VALIDATE_IMPRESSIONS] / (of[BUILD_USER_EMBEDDINGS] + of[ASSIGN_SEGMENTS])


def main() -> None:
    """Measure what was asked for, then report all that is there; or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append", default=[], help="a size; may be given again")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", default="auto", help="of Great Expectations: auto, pandas, spark")
    parser.add_argument("--stage", choices=STAGES, help="run this one alone, here, and print its figures")
    parser.add_argument("--folder", type=Path, default=Path(".cache/features-benchmark"))
    arguments = parser.parse_args()
    os.environ.setdefault(KEY_VARIABLE, "of this benchmark's made-up users alone")
    if arguments.stage:
        store = prepared(arguments.folder, arguments.rows[0])
        print(json.dumps(run_stage(arguments.stage, store, arguments.rows[0], arguments.engine)))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for rows in arguments.rows:
        measure(arguments.folder, rows, arguments.repeats, arguments.engine)
    write_section(
        "Validation beside the day's Spark work",
        report([json.loads(line) for line in (arguments.folder / "validation.jsonl").read_text().splitlines()]),
    )


if __name__ == "__main__":
    main()
