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

from icg_tasks.lake.partitions import (
    Partition,
    PartitionFile,
    finish_partition,
    local_files,
    read_partition_file,
    write_partition_part,
)
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.spark_session import is_local

DAY = "ds"
FILES = pa.schema(
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
        return reduce(DataFrame.unionByName, frames)
    frame = read_by_s3a(spark, store, partitions, schema)
    return _read_by_executors(spark, store, partitions, schema) if frame is None else frame


def read_by_s3a(
    spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition], schema: pa.Schema
) -> DataFrame | None:
    """The same rows read by the JVM of a cluster through s3a; None where the store is no S3 or the JVM has no s3a."""
    if is_local(spark) or not store.uri.startswith("s3://") or not _has_s3a(spark):
        return None
    frames = [
        _read_paths(spark, [store.address(file.key).replace("s3://", "s3a://", 1) for file in part.files], part, schema)
        for part in partitions
    ]
    return reduce(DataFrame.unionByName, frames)


def collect_files(frame: DataFrame) -> dict[date, list[PartitionFile]]:
    """What a frame of written files (``FILES``) says, by day."""
    return files_by_day([row.asDict() for row in frame.select(*FILES.names).collect()])


def files_by_day(rows: Sequence[Mapping[str, Any]]) -> dict[date, list[PartitionFile]]:
    """Rows of ``FILES`` by day, in key order."""
    found: dict[date, list[PartitionFile]] = {}
    for row in sorted(rows, key=lambda row: str(row["key"])):
        file = PartitionFile(key=row["key"], rows=row["rows"], size=row["size"], sha256=row["sha256"])
        found.setdefault(date.fromisoformat(row["ds"]), []).append(file)
    return found


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
    return finish_days(
        store, dataset, metadata, collect_files(frame.mapInArrow(writer, from_arrow_schema(FILES))), schema=schema
    )


def finish_days(
    store: ObjectStore,
    dataset: str,
    metadata: Mapping[date, Mapping[str, Any]],
    files: Mapping[date, Sequence[PartitionFile]],
    *,
    schema: pa.Schema,
) -> dict[date, Partition]:
    """Make these days' partitions the files that workers wrote; a day without rows gets one empty file."""
    written = {}
    for day, said in metadata.items():
        listed = files.get(day) or [write_partition_part(store, dataset, day, 0, schema.empty_table(), schema=schema)]
        written[day] = finish_partition(store, dataset, day, listed, metadata=said)
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
    files = spark.createDataFrame(listed, from_arrow_schema(FILES)).repartition(max(1, len(listed)), "key")
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
        row = written_file(store, dataset, date.fromisoformat(day), number, rows, schema)
        yield pa.RecordBatch.from_pylist([row], schema=FILES)


def written_file(
    store: ObjectStore, dataset: str, day: date, number: int, table: pa.Table, schema: pa.Schema
) -> dict[str, Any]:
    """Write one data file from a worker; what ``FILES`` says of it."""
    file = write_partition_part(store, dataset, day, number, table, schema=schema)
    return {"ds": day.isoformat(), "key": file.key, "rows": file.rows, "size": file.size, "sha256": file.sha256}
