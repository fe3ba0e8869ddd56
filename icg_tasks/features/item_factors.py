"""Collaborative item vectors of a date: when they were last to be learned, from which clicks, and their partition.

Learned on every ``features.factor_days``-th date from the clicks of the window that ends there, and kept in between, so that an
ordinary day costs its own sums alone. What they were learned from is in the partition's metadata: a late row or an erasure
in that window means learning anew. What comes to the driver are items; users are numbered where their bucket lies, and no
number is written. Knows clean impressions; the learning is collaborative's.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel, TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from icg_tasks.config.features import FactorSettings, FeatureSettings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.partitions import IMPRESSIONS, ITEM_FACTORS
from icg_tasks.contracts.schemas import IMPRESSIONS as ROWS
from icg_tasks.contracts.schemas import ITEM_FEATURES
from icg_tasks.features.collaborative import item_features, learn_factors
from icg_tasks.features.spark_rows import map_days
from icg_tasks.lake.partitions import Partition, find_partition, list_partition_dates, write_partition
from icg_tasks.lake.store import ObjectStore

_VERSION = 1
"""Raise when the same clicks and settings come to mean other factors."""
_PAIRS = pa.schema([("user_id", pa.string()), ("item_id", pa.string())])
_LIKES = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("strength", pa.float32())])
_COLUMNS = pa.schema([ROWS.field(name) for name in ("user_id", "item_id", "clicked")])


@dataclass(frozen=True, kw_only=True)
class FactorPlan:
    """The date whose factors hold on a run date, the days to learn from, and the partition where it still stands for them."""

    day: date
    impressions: list[Partition]
    fingerprint: str
    found: Partition | None


def plan_factors(store: ObjectStore, run_date: date, settings: FeatureSettings, num_buckets: int) -> FactorPlan:
    """What holds on a run date: the newest multiple of ``factor_days`` with rows in its window, else the run date itself."""
    day = run_date - timedelta(days=run_date.toordinal() % max(settings.factor_days, 1))
    shown = _window(store, day, settings.window_days)
    if not shown:
        day, shown = run_date, _window(store, run_date, settings.window_days)
    digests = [file.sha256 for part in shown for file in part.files]
    content: list[Any] = [_VERSION, num_buckets, asdict(settings.factors), digests]
    fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    found = find_partition(store, ITEM_FACTORS, day)
    stands = found is not None and found.metadata.get("fingerprint") == fingerprint
    return FactorPlan(day=day, impressions=shown, fingerprint=fingerprint, found=found if stands else None)


def item_factors(
    spark: SparkSession, store: ObjectStore, plan: FactorPlan, settings: FactorSettings, num_buckets: int
) -> Partition:
    """The planned date's partition, learned where it is not there. Raises DataMissing where nobody clicked anything."""
    if plan.found is not None:
        return plan.found
    pairs = click_pairs(spark, store, plan.impressions).persist(StorageLevel.MEMORY_AND_DISK)
    names = pairs.select("item_id").distinct().toArrow()["item_id"].combine_chunks()
    items = names.take(pc.sort_indices(names)) if len(names) else names
    if not len(items):
        raise DataMissing(
            f"nobody clicked anything in the days up to {plan.day}, so there are no collaborative vectors; "
            "set features.segment_vectors=content, or look at the click logging"
        )
    numbers, factors_IR = learn_factors(numbered(pairs, items.to_pylist(), num_buckets), settings)
    pairs.unpersist()
    table = item_features([items[number].as_py() for number in numbers], factors_IR, settings, plan.fingerprint)
    metadata = {"encoder": table["encoder"][0].as_py(), "width": settings.rank, "fingerprint": plan.fingerprint}
    return write_partition(store, ITEM_FACTORS, plan.day, [table], schema=ITEM_FEATURES, metadata=metadata)


def click_pairs(spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition]) -> DataFrame:
    """user_id and item_id of what was clicked, each pair once per chunk of a file: a bot is as small as the catalogue."""
    return map_days(spark, store, partitions, _COLUMNS, _clicked, _PAIRS)


def numbered(pairs: DataFrame, items: Sequence[str], num_buckets: int) -> DataFrame:
    """Pairs as ALS wants them (user, item, strength), each once: users by place in their bucket, items in ``items``."""
    kernel = partial(_numbered, items=items, num_buckets=num_buckets)
    return pairs.repartition(num_buckets, "user_id").mapInArrow(kernel, from_arrow_schema(_LIKES))


def _window(store: ObjectStore, day: date, window_days: int) -> list[Partition]:
    first = day - timedelta(days=window_days - 1)
    found = (
        find_partition(store, IMPRESSIONS, past) for past in list_partition_dates(store, IMPRESSIONS) if first <= past <= day
    )
    return [part for part in found if part is not None and part.rows]


def _clicked(_day: date, tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    for table in tables:
        clicked = table.filter(table["clicked"]).select(_PAIRS.names).cast(_PAIRS)
        yield from clicked.group_by(_PAIRS.names).aggregate([]).combine_chunks().to_batches()


def _numbered(batches: Iterable[pa.RecordBatch], *, items: Sequence[str], num_buckets: int) -> Iterator[pa.RecordBatch]:
    context = TaskContext.get()
    bucket = context.partitionId() if context is not None else 0
    pairs = pa.Table.from_batches(list(batches), schema=_PAIRS).group_by(_PAIRS.names).aggregate([])
    if not len(pairs):
        return
    pairs = pairs.sort_by([(name, "ascending") for name in _PAIRS.names]).combine_chunks()
    encoded = pairs["user_id"].combine_chunks().dictionary_encode()
    user_N = np.asarray(encoded.indices, dtype=np.int64) * num_buckets + bucket
    item_N = pc.index_in(pairs["item_id"].combine_chunks(), value_set=pa.array(items, pa.string()))
    strength_N = np.ones(len(pairs), dtype=np.float32)
    columns = [pa.array(user_N).cast(pa.int32()), item_N.cast(pa.int32()), pa.array(strength_N)]
    yield from pa.Table.from_arrays(columns, schema=_LIKES).to_batches(max_chunksize=100_000)
