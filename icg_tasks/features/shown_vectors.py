"""The vectors of the covers that a window's impressions showed, as files that every worker maps into memory.

Knows which partitions stand for which day (window.py); hands over what user_blocks points into.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from icg_tasks.features.spaces import CONTENT
from icg_tasks.features.user_blocks import Shown
from icg_tasks.features.vector_files import VectorFile, share_partitions, shared, write_vectors
from icg_tasks.features.window import DayPlan, WindowPlan
from icg_tasks.lake.partitions import Partition, read_partition_file
from icg_tasks.lake.store import ObjectStore


def shown_of_days(
    spark: SparkSession,
    store: ObjectStore,
    plan: WindowPlan,
    days: Sequence[DayPlan],
    used: Mapping[date, pa.StringArray],
    folder: Path,
) -> dict[date, Shown]:
    """For each day its catalogue's vectors, and those of the generated covers that it used (ids by day).

    A day sees the covers that were published before it, whatever the run date.
    """
    items: dict[date, VectorFile] = {}
    shown = {}
    for day in days:
        if day.items.run_date not in items:
            items[day.items.run_date] = share_partitions(spark, store, [day.items], "item_id", plan.width, folder)
        earlier = [part for part in plan.covers if part.run_date < day.day and part.rows]
        wanted = used[day.day]
        covers = _covers(spark, store, earlier, wanted, plan.width // 2, folder) if len(wanted) and earlier else None
        shown[day.day] = Shown(items=items[day.items.run_date], covers=covers, by_cover=plan.space == CONTENT)
    return shown


def _covers(
    spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition], wanted: pa.StringArray, width: int, folder: Path
) -> VectorFile:
    content = [*wanted.to_pylist(), *(file.sha256 for part in partitions for file in part.files)]
    tables = _newest_first(store, partitions, wanted)
    return shared(spark, write_vectors(tables, "cover_id", width, folder, len(wanted), content))


def _newest_first(store: ObjectStore, partitions: Sequence[Partition], wanted: pa.StringArray) -> Iterator[pa.Table]:
    """Rows of the wanted covers, each once (an id is the hash of an image), until all are found."""
    for part in sorted(partitions, key=lambda one: one.run_date, reverse=True):
        for file in part.files:
            table = read_partition_file(store, file, ["cover_id", "vector"])
            found = table.filter(pc.is_in(table["cover_id"], value_set=wanted))
            wanted = wanted.filter(pc.invert(pc.is_in(wanted, value_set=found["cover_id"].combine_chunks())))
            yield found
            if not len(wanted):
                return
