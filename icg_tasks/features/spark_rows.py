"""Rows of partitions to a kernel in Spark's workers, as Arrow tables: nothing passes the JVM but what the kernel makes of them.

Workers read the files themselves, in place or from the store, and check them against their manifest; where the JVM of a
cluster has s3a, it reads instead and hands batches on. A file of many rows is read by several tasks. Knows no meaning of any
column.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.features.spark_partitions import DAY, read_by_s3a
from icg_tasks.lake.partitions import Partition, PartitionFile
from icg_tasks.lake.store import ObjectStore, open_store

CHUNK_ROWS = 1_000_000
"""Rows that a kernel is given at once, at most; a longer file is a task per so many rows."""
_DICTIONARIES = ["user_id", "item_id", "cover_id", "surface"]

Kernel = Callable[[date, Iterable[pa.Table]], Iterator[pa.RecordBatch]]
Piece = tuple[str, PartitionFile, int, int]
"""Day, file, which part of it, of how many."""


def map_days(
    spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition], schema: pa.Schema, kernel: Kernel, out: pa.Schema
) -> DataFrame:
    """What the kernel makes of the partitions' rows (columns of ``schema``; texts may come dictionary encoded)."""
    frame = read_by_s3a(spark, store, partitions, schema)
    if frame is not None:
        return frame.mapInArrow(partial(_map_batches, kernel=kernel, schema=schema), from_arrow_schema(out))
    pieces = [piece for part in partitions for file in part.files for piece in _pieces(part.run_date, file)]
    reader: Callable[..., Any] = partial(_map_files, pieces=pieces, uri=store.uri, columns=schema.names, kernel=kernel)
    return spark.range(0, len(pieces), 1, max(1, len(pieces))).mapInArrow(reader, from_arrow_schema(out))


def file_tables(
    store: ObjectStore, file: PartitionFile, columns: Sequence[str], part: int = 0, parts: int = 1
) -> Iterator[pa.Table]:
    """One file's rows in chunks, or every ``parts``-th row group of it; raises DataCorrupt unless it is the manifest's file."""
    path = store.local_path(file.key)
    buffer = pa.py_buffer(store.get(file.key)) if path is None else pa.memory_map(str(path)).read_buffer()
    if hashlib.sha256(buffer).hexdigest() != file.sha256:
        raise DataCorrupt(f"{store.address(file.key)} is not the file its manifest lists; re-run the stage that writes it")
    source = pq.ParquetFile(pa.BufferReader(buffer), read_dictionary=[name for name in _DICTIONARIES if name in columns])
    groups = list(range(source.num_row_groups))[part::parts]
    if groups:
        for batch in source.iter_batches(CHUNK_ROWS, row_groups=groups, columns=list(columns), use_threads=False):
            yield pa.Table.from_batches([batch])


def _pieces(day: date, file: PartitionFile) -> list[Piece]:
    parts = max(1, -(-file.rows // CHUNK_ROWS))
    return [(day.isoformat(), file, part, parts) for part in range(parts)]


def _map_files(
    batches: Iterable[pa.RecordBatch], *, pieces: Sequence[Piece], uri: str, columns: Sequence[str], kernel: Kernel
) -> Iterator[pa.RecordBatch]:
    store = open_store(uri)
    for batch in batches:
        for number in batch.column(0).to_pylist():
            day, file, part, parts = pieces[number]
            yield from kernel(date.fromisoformat(day), file_tables(store, file, columns, part, parts))


def _map_batches(batches: Iterable[pa.RecordBatch], *, kernel: Kernel, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches of a few thousand rows with their day, gathered into chunks of one day."""
    waiting: dict[str, list[pa.RecordBatch]] = {}
    for batch in batches:
        for day in batch.column(DAY).unique().to_pylist():
            mine = batch.filter(pa.compute.equal(batch.column(DAY), day)).select(schema.names)
            waiting.setdefault(day, []).append(mine)
            if sum(one.num_rows for one in waiting[day]) >= CHUNK_ROWS // 2:
                yield from kernel(date.fromisoformat(day), [pa.Table.from_batches(waiting.pop(day))])
    for day, gathered in sorted(waiting.items()):
        yield from kernel(date.fromisoformat(day), [pa.Table.from_batches(gathered)])
