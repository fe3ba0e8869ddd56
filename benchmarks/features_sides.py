"""One side of benchmarks/features.py, alone in its process: a day's partial sums per user by Spark, DuckDB or Polars.

All read the same Parquet files and write the same columns: user, sum of weight x vector, information, impressions, clicks; the
weight is the click less the rate of its place, told from the same rows. Spark's side is the stage's own code. Prints one JSON
line: seconds to start, seconds of work, processor seconds of work, peak memory of all its processes, rows and a checksum.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pyarrow.compute as pc
import pyarrow.parquet as pq

from icg_tasks.contracts.partitions import IMPRESSIONS, ITEM_FEATURES
from icg_tasks.lake.partitions import Partition, find_partition
from icg_tasks.lake.store import open_store

DAY = date(2026, 3, 10)


class Tree:
    """This process and everything below it: processor seconds so far, and the most memory seen."""

    def __init__(self) -> None:
        self.peak_bytes, self._stop = 0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def processor_seconds(self) -> float:
        """Of all that run now, and of their children that have ended."""
        return sum(sum(times[:4]) for times in self._each(lambda process: process.cpu_times()))

    def _watch(self) -> None:
        while not self._stop.wait(0.3):
            self.peak_bytes = max(self.peak_bytes, sum(self._each(lambda process: process.memory_full_info().pss)))

    @staticmethod
    def _each(ask: Callable[[psutil.Process], Any]) -> list[Any]:
        found = []
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            try:
                found.append(ask(process))
            except psutil.Error:  # ended in between
                continue
        return found


def paths(folder: Path, part: Partition) -> list[str]:
    """Its files on this disk."""
    return [str(folder / "store" / file.key) for file in part.files]


def spark_side(folder: Path, shown: Partition, items: Partition, memory: str, timed: Callable[[], Any]) -> Path:
    """The stage's own functions; partial sums as files of one day in a store."""
    from icg_tasks.config.features import EventSettings
    from icg_tasks.config.settings import SparkSettings
    from icg_tasks.features.user_blocks import BlockMaker, Shown
    from icg_tasks.features.user_vectors import collect_sums, day_facts, day_sum_files
    from icg_tasks.features.vector_files import share_partitions
    from icg_tasks.spark_session import spark_session

    store = open_store(str(folder / "store"))
    buckets = max(4, shown.rows // 2_000_000)
    settings = SparkSettings(master=f"local[{os.cpu_count()}]", shuffle_partitions=buckets, driver_memory=memory)
    with spark_session(settings, "features") as spark:
        spark.range(0, 8, 1, 4).mapInArrow(lambda batches: batches, "id long").count()  # workers are there
        timed()
        facts = day_facts(spark, store, [shown], EventSettings())
        vectors = share_partitions(spark, store, [items], "item_id", int(items.metadata["width"]), folder / "vectors")
        maker = BlockMaker(
            events=EventSettings(),
            rates={DAY: facts[DAY].rates},
            shown={DAY: Shown(items=vectors, covers=None)},
            num_buckets=buckets,
        )
        files, _ = collect_sums(day_sum_files(spark, store, [shown], maker))
        timed()
    return (folder / "store" / files[DAY][0].key).parent


def duckdb_side(folder: Path, shown: Partition, items: Partition, memory: str, timed: Callable[[], Any]) -> Path:
    """One statement; the catalogue's vectors spread over columns."""
    import duckdb

    width, target = int(items.metadata["width"]), folder / "duckdb.parquet"
    connection = duckdb.connect(config={"threads": os.cpu_count(), "memory_limit": f"{memory}iB".replace("gi", "Gi")})
    connection.execute(f"set temp_directory='{folder / 'spill'}'")
    timed()
    columns = ", ".join(f"vector[{number + 1}]::DOUBLE v{number}" for number in range(width))
    catalogue = f"create table items as select item_id, {columns} from read_parquet({paths(folder, items)})"  # noqa: S608
    connection.execute(catalogue)
    sums = ", ".join(f"coalesce(sum(w * v{number}), 0)::FLOAT" for number in range(width))
    query = f"""
        copy (
          with shown as (from read_parquet({paths(folder, shown)})),
          overall as (select sum(clicked::int) / count(*) as rate from shown),
          places as (select surface, position, (sum(clicked::int) + 100.0 * any_value(rate)) / (count(*) + 100.0) as expected
                     from shown, overall group by all),
          judged as (select user_id, item_id, clicked::int as click, clicked::int - expected as w,
                     expected * (1 - expected) as information from shown join places using (surface, position))
          select user_id, list_value({sums}) as vector_sum, sum(information) as weight, count(*) as impressions,
                 sum(click) as clicks from judged left join items using (item_id) group by user_id
        ) to '{target}' (format parquet, compression zstd)"""  # noqa: S608
    connection.execute(query)
    timed()
    return target


def polars_side(folder: Path, shown: Partition, items: Partition, _memory: str, timed: Callable[[], Any]) -> Path:
    """The streaming engine; it knows no memory limit."""
    import polars as pl

    width, target = int(items.metadata["width"]), folder / "polars.parquet"
    timed()
    names = [f"v{number}" for number in range(width)]
    vectors = pl.read_parquet(paths(folder, items), columns=["item_id", "vector"])
    vectors = vectors.select("item_id", *(pl.col("vector").list.get(n).cast(pl.Float64).alias(v) for n, v in enumerate(names)))
    rows = pl.scan_parquet(paths(folder, shown)).select(
        "user_id", "item_id", "surface", "position", pl.col("clicked").cast(pl.Int64).alias("click")
    )
    overall = rows.select(pl.col("click").sum() / pl.len()).collect(engine="streaming").item()
    places = rows.group_by("surface", "position").agg(
        ((pl.col("click").sum() + 100.0 * overall) / (pl.len() + 100.0)).alias("p")
    )
    judged = rows.join(places, on=["surface", "position"]).with_columns(w=pl.col("click") - pl.col("p"))
    sums = judged.join(vectors.lazy(), on="item_id", how="left").group_by("user_id").agg(
        *((pl.col(name) * pl.col("w")).sum().cast(pl.Float32) for name in names),
        weight=(pl.col("p") * (1 - pl.col("p"))).sum(),
        impressions=pl.len(),
        clicks=pl.col("click").sum(),
    )  # fmt: skip
    whole = sums.select("user_id", pl.concat_list(names).alias("vector_sum"), "weight", "impressions", "clicks")
    whole.sink_parquet(target, compression="zstd", engine="streaming")
    timed()
    return target


SIDES = {"spark": spark_side, "duckdb": duckdb_side, "polars": polars_side}


def checksum(target: Path) -> tuple[int, int, float]:
    """Users, impressions, and the sum of all vectors' first components: what the sides must agree on."""
    files = sorted(target.glob("part-*.parquet")) if target.is_dir() else [target]
    users, impressions, first = 0, 0, 0.0
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(200_000, columns=["vector_sum", "impressions"]):
            users, impressions = users + len(batch), impressions + pc.sum(batch["impressions"]).as_py()
            first += pc.sum(pc.list_element(batch["vector_sum"], 0).cast("float64")).as_py()
    return users, impressions, round(first, 2)


def main() -> None:
    """Run the side that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=sorted(SIDES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--memory", default="2g")
    arguments = parser.parse_args()
    store = open_store(str(arguments.folder / "store"))
    shown, items = find_partition(store, IMPRESSIONS, DAY), find_partition(store, ITEM_FEATURES, DAY)
    if shown is None or items is None:
        sys.exit(f"no rows in {arguments.folder}; run benchmarks.features, which makes them")
    tree, marks = Tree(), [(time.perf_counter(), 0.0)]
    side = SIDES[arguments.side]
    target = side(
        arguments.folder, shown, items, arguments.memory, lambda: marks.append((time.perf_counter(), tree.processor_seconds()))
    )
    found = {
        "start": marks[1][0] - marks[0][0],
        "seconds": marks[2][0] - marks[1][0],
        "processor": marks[2][1] - marks[1][1],
        "peak_bytes": tree.peak_bytes,
        "checksum": checksum(target),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
