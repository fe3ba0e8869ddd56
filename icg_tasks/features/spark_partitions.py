"""Partitions of the object store as Spark DataFrames, both ways. One function chooses how the bytes travel.

Reading: a local master reads files in place (or downloaded once from a remote store); a cluster reads s3a where the JVM has
it, else executors fetch the files themselves. Writing: each Spark task writes its rows straight to the store as one file per
day, in the declared schema; the driver writes the manifest. Knows no meaning of any column but the day and the sort key.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial, reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema

from icg_tasks.features.spark_session import is_local
from icg_tasks.lake.partitions import (
    Partition,
    PartitionFile,
    finish_partition,
    local_files,
    read_partition_file,
    write_partition_part,
)
from icg_tasks.lake.store import ObjectStore, open_store

DAY = "ds"
_FILES = pa.schema(
    [("ds", pa.string()), ("key", pa.string()), ("rows", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())]
)
_S3A = "org.apache.hadoop.fs.s3a.S3AFileSystem"


def read_days(
    spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition], schema: pa.Schema, *, scratch: Path
) -> DataFrame:
    """The rows of these partitions (at least one) with the columns of ``schema`` and their day as text in ``ds``."""
    if is_local(spark):
        frames = [
            _read_paths(spark, [str(path) for path in local_files(store, part, scratch)], part, schema) for part in partitions
        ]
    elif store.uri.startswith("s3://") and _has_s3a(spark):
        frames = [
            _read_paths(spark, [store.address(file.key).replace("s3://", "s3a://", 1) for file in part.files], part, schema)
            for part in partitions
        ]
    else:
        return _read_by_executors(spark, store, partitions, schema)
    return reduce(DataFrame.unionByName, frames)


def bucketed(frame: DataFrame, key: str, num_buckets: int, *then: str) -> DataFrame:
    """Rows of one key in one bucket, whatever the partitioning before, each bucket sorted by day, key and ``then``."""
    return frame.repartition(num_buckets, key).sortWithinPartitions(DAY, key, *then)


def write_days(
    frame: DataFrame,
    store: ObjectStore,
    dataset: str,
    metadata: Mapping[date, Mapping[str, Any]],
    *,
    schema: pa.Schema,
    key: str,
) -> dict[date, Partition]:
    """Replace the partitions of the days in ``metadata`` by a ``bucketed`` frame with a ``ds`` column; one file per bucket.

    A day's bytes depend on its own rows and the number of buckets alone, not on the other days written with it.
    """
    writer = partial(_write_bucket, uri=store.uri, dataset=dataset, schema=schema, key=key)
    found: dict[date, dict[str, PartitionFile]] = {day: {} for day in metadata}
    for row in frame.mapInArrow(writer, from_arrow_schema(_FILES)).collect():
        file = PartitionFile(key=row["key"], rows=row["rows"], size=row["size"], sha256=row["sha256"])
        found[date.fromisoformat(row["ds"])][file.key] = file
    written = {}
    for day, files in found.items():
        listed = [files[name] for name in sorted(files)] or [
            write_partition_part(store, dataset, day, 0, schema.empty_table(), schema=schema)
        ]
        written[day] = finish_partition(store, dataset, day, listed, metadata=metadata[day])
    return written


def _read_paths(spark: SparkSession, paths: list[str], part: Partition, schema: pa.Schema) -> DataFrame:
    frame = spark.read.schema(from_arrow_schema(schema)).parquet(*paths)
    return frame.select(sql.lit(part.run_date.isoformat()).alias(DAY), *schema.names)


def _has_s3a(spark: SparkSession) -> bool:
    jvm: Any = spark.sparkContext._jvm
    loader = jvm.Thread.currentThread().getContextClassLoader()
    return loader.getResource(_S3A.replace(".", "/") + ".class") is not None


def _read_by_executors(
    spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition], schema: pa.Schema
) -> DataFrame:
    listed = [
        (part.run_date.isoformat(), file.key, file.rows, file.size, file.sha256) for part in partitions for file in part.files
    ]
    files = spark.createDataFrame(listed, from_arrow_schema(_FILES)).repartition(max(1, len(listed)), "key")
    whole = pa.schema([(DAY, pa.string()), *schema])
    reader: Callable[..., Any] = partial(_read_files, uri=store.uri, schema=schema)
    return files.mapInArrow(reader, from_arrow_schema(whole))


def _read_files(batches: Iterable[pa.RecordBatch], *, uri: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    store = open_store(uri)
    for batch in batches:
        for row in batch.to_pylist():
            file = PartitionFile(key=row["key"], rows=row["rows"], size=row["size"], sha256=row["sha256"])
            table = read_partition_file(store, file, schema.names).cast(schema)
            yield from table.add_column(0, DAY, pa.repeat(row["ds"], len(table))).to_batches()


def _write_bucket(
    batches: Iterable[pa.RecordBatch], *, uri: str, dataset: str, schema: pa.Schema, key: str
) -> Iterator[pa.RecordBatch]:
    context = TaskContext.get()
    number = context.partitionId() if context is not None else 0
    store = open_store(uri)
    collected = [batch for batch in batches if batch.num_rows]
    if not collected:
        return
    table = pa.Table.from_batches(collected)
    for day in sorted(pc.unique(table[DAY]).to_pylist()):
        rows = table.filter(pc.equal(table[DAY], day)).sort_by(key).combine_chunks()
        file = write_partition_part(store, dataset, date.fromisoformat(day), number, rows, schema=schema)
        yield pa.RecordBatch.from_pylist(
            [{"ds": day, "key": file.key, "rows": file.rows, "size": file.size, "sha256": file.sha256}], schema=_FILES
        )
