"""User vectors as Spark plans: a day's partial sum per user, and the decayed sum of days.

An impression contributes importance x (reward - expected reward of its place that day) x (vector of the cover that was
shown), so a user's vector points at what they click more than the place explains. Its weight is the information that the
impression carries: a user of few impressions is shrunk towards zero, "nobody special". All sums are exact, so the same rows
give the same bytes in any partitioning. What is added up stands in event_weights, user_blocks and block_sums; here is how it
travels: rows to blocks where they are read, blocks to their bucket (the one shuffle), files straight to the store.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema

from icg_tasks.config.features import EventSettings
from icg_tasks.contracts.schemas import IMPRESSIONS
from icg_tasks.contracts.schemas import USER_DAYS as DAYS_SCHEMA
from icg_tasks.features.block_sums import day_sums
from icg_tasks.features.event_weights import PLACE_SUMS, Place, columns_needed, place_sums, rates_of, weigh
from icg_tasks.features.spaces import CONTENT, Space
from icg_tasks.features.spark_partitions import DAY, FILES, files_by_day, written_file
from icg_tasks.features.spark_rows import map_days
from icg_tasks.features.user_blocks import BLOCKS, BlockMaker, Shown, codes_of
from icg_tasks.features.window_sums import everybody
from icg_tasks.lake.partitions import Partition, PartitionFile
from icg_tasks.lake.store import ObjectStore, open_store

_FACT_ROWS = pa.schema([(DAY, pa.string()), *PLACE_SUMS, ("cover_id", pa.string())])
LOST = pa.schema([("without_item", pa.int64()), ("without_cover", pa.int64())])
RESIDUALS = pa.schema(
    [
        (DAY, pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("residual", pa.int64()),
        ("information", pa.int64()),
    ]
)
SUM_FILES = pa.schema([*FILES, *LOST])
"""A written file, and the impressions in it whose item has no vector, or whose generated cover has none."""


@dataclass(frozen=True, kw_only=True)
class DayFacts:
    """What a day's rows are judged by: the expected reward of each place, and the generated covers that it showed."""

    rates: Mapping[Place, float]
    covers: pa.StringArray


def day_facts(
    spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition], events: EventSettings
) -> dict[date, DayFacts]:
    """Facts of each of these days. What comes to the driver are places and covers, not users."""
    columns = _columns([*columns_needed(events), "cover_id"])
    table = map_days(spark, store, partitions, columns, partial(_fact_rows, events=events), _FACT_ROWS).toArrow()
    sums: dict[date, dict[Place, tuple[int, int]]] = {part.run_date: {} for part in partitions}
    places = table.filter(pc.is_null(table["cover_id"]))
    summed = places.group_by([DAY, "surface", "position"]).aggregate([("importance", "sum"), ("reward", "sum")])
    for row in summed.to_pylist():
        sums[date.fromisoformat(row[DAY])][row["surface"], row["position"]] = (row["importance_sum"], row["reward_sum"])
    shown = table.filter(pc.is_valid(table["cover_id"]))
    return {
        day: DayFacts(
            rates=rates_of(found), covers=everybody([shown.filter(pc.equal(shown[DAY], day.isoformat()))["cover_id"]])
        )
        for day, found in sums.items()
    }


def day_sum_files(
    spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition], maker: BlockMaker, space: Space = CONTENT
) -> DataFrame:
    """Partial sums of these days by user, written to the store as one file per day and bucket (SUM_FILES); manifests are not.

    One shuffle, of blocks. Bucket and file number are those of ``repartition(buckets, "user_id")``.
    """
    blocks = map_days(spark, store, partitions, _columns(maker.columns()), maker, BLOCKS)
    writer = _SumWriter(uri=store.uri, shown=dict(maker.shown), dataset=space.days)
    moved = blocks.repartitionById(maker.num_buckets, sql.col("bucket"))
    return moved.mapInArrow(writer, from_arrow_schema(SUM_FILES))


def collect_sums(frame: DataFrame) -> tuple[dict[date, list[PartitionFile]], tuple[int, int]]:
    """The written files by day, and the impressions without an item's vector and without a generated cover's."""
    table = frame.toArrow()
    lost = [sum(table[name].to_pylist()) for name in LOST.names]
    return files_by_day(table.select(FILES.names).to_pylist()), (lost[0], lost[1])


def residual_rows(spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition], events: EventSettings) -> DataFrame:
    """A row per impression (RESIDUALS): residual and information in units of 2^-20, zero where a generated cover was shown."""
    rates = {day: facts.rates for day, facts in day_facts(spark, store, partitions, events).items()}
    columns = _columns(["user_id", "item_id", "cover_id", *columns_needed(events)])
    kernel = partial(_residual_rows, events=events, rates=rates)
    return map_days(spark, store, partitions, columns, kernel, RESIDUALS)


@dataclass(frozen=True, kw_only=True)
class _SumWriter:
    """Blocks of a bucket to files: a day's sums are computed, written and let go before the next day's."""

    uri: str
    shown: Mapping[date, Shown]
    dataset: str

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        gathered: dict[tuple[int, str], list[tuple[bytes, int, int]]] = {}
        for batch in batches:
            for row in batch.to_pylist():
                entry = (row["block"], row["without_item"], row["without_cover"])
                gathered.setdefault((row["bucket"], row[DAY]), []).append(entry)
        store = open_store(self.uri)
        for bucket, text in sorted(gathered):
            day = date.fromisoformat(text)
            blocks, without_item, without_cover = zip(*gathered.pop((bucket, text)), strict=True)
            table = day_sums(blocks, self.shown[day])
            row = written_file(store, self.dataset, day, bucket, table, DAYS_SCHEMA)
            row |= {"without_item": sum(without_item), "without_cover": sum(without_cover)}
            yield pa.RecordBatch.from_pylist([row], schema=SUM_FILES)


def _columns(names: Sequence[str]) -> pa.Schema:
    return pa.schema([IMPRESSIONS.field(name) for name in names])


def _fact_rows(day: date, tables: Iterable[pa.Table], *, events: EventSettings) -> Iterator[pa.RecordBatch]:
    for table in tables:
        sums = place_sums(table, day, events)
        rows = pa.Table.from_batches([sums]).append_column("cover_id", pa.nulls(len(sums), pa.string()))
        covers = codes_of(table["cover_id"])[0]
        named = pa.table({"cover_id": covers}, schema=pa.schema([_FACT_ROWS.field("cover_id")]))
        for part in (rows, named):
            filled = part.append_column(DAY, [[day.isoformat()] * len(part)])
            yield from (
                pa.concat_tables([_FACT_ROWS.empty_table(), filled], promote_options="default").combine_chunks().to_batches()
            )


def _residual_rows(
    day: date, tables: Iterable[pa.Table], *, events: EventSettings, rates: Mapping[date, Mapping[Place, float]]
) -> Iterator[pa.RecordBatch]:
    for table in tables:
        weighed = weigh(table, day, events, rates[day])
        own_N = np.asarray(table["cover_id"].is_null().to_numpy(), dtype=np.int64)
        columns = [
            pa.array([day.isoformat()] * len(table)),
            *(table[name].cast(pa.string()) for name in ("user_id", "item_id")),
        ]
        columns += [pa.array(weighed.residual_N * own_N), pa.array(weighed.information_N * own_N)]
        yield from pa.Table.from_arrays(columns, schema=RESIDUALS).combine_chunks().to_batches(max_chunksize=100_000)
