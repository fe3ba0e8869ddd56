"""Vectors of items and covers as files that every worker maps into memory: one copy per machine, however many workers.

A pair of files per set: NAME.ids (Arrow, one column of unique ids) and NAME.npy (float32, a row per id). The driver writes
them from partitions, a file at a time; Spark carries them to the machines. Knows partitions; nothing of users. Legend: R
rows, V vector width.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark import SparkFiles
from pyspark.sql import SparkSession

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.features.exact_sums import Ints, numbers_of, vector_matrix
from icg_tasks.lake.partitions import Partition, read_partition_file
from icg_tasks.lake.store import ObjectStore
from icg_tasks.spark_session import is_local

_IDS = pa.schema([("id", pa.string())])


@dataclass(frozen=True, kw_only=True)
class VectorFile:
    """A set of vectors by its files' name. ``folder`` is where all workers see it; empty where Spark sent it to them."""

    name: str
    folder: str
    rows: int
    width: int

    def numbers(self, ids: pa.StringArray) -> Ints:
        """The row of each id, -1 where there is none."""
        found = pc.index_in(ids, value_set=_ids(self._path("ids")))
        return numbers_of(found, -1)

    def vectors(self, numbers: Ints, columns: slice) -> NDArray[np.float32]:
        """These rows and columns of the matrix [len(numbers), …]."""
        return np.asarray(_matrix(self._path("npy"))[numbers, columns])

    def _path(self, suffix: str) -> str:
        name = f"{self.name}.{suffix}"
        return str(Path(self.folder) / name) if self.folder else str(SparkFiles.get(name))


def share_partitions(
    spark: SparkSession, store: ObjectStore, partitions: Sequence[Partition], key: str, width: int, folder: Path
) -> VectorFile:
    """Vectors of all ids in these partitions (columns ``key`` and ``vector``); the first partition that has an id counts."""
    tables = (read_partition_file(store, file, [key, "vector"]) for part in partitions for file in part.files if file.rows)
    content = [file.sha256 for part in partitions for file in part.files]
    return shared(spark, write_vectors(tables, key, width, folder, sum(part.rows for part in partitions), content))


def shared(spark: SparkSession, vectors: VectorFile) -> VectorFile:
    """The same where every worker of the session finds it: on this machine's disk, or sent to the others."""
    if is_local(spark):
        return vectors
    for suffix in ("npy", "ids"):
        spark.sparkContext.addFile(str(Path(vectors.folder) / f"{vectors.name}.{suffix}"))
    return replace(vectors, folder="")


def write_vectors(
    tables: Iterable[pa.Table], key: str, width: int, folder: Path, most_rows: int, content: Sequence[str]
) -> VectorFile:
    """A pair of files of the rows of tables (``key`` and ``vector``); of an id that comes again the first row counts.

    ``content`` are digests of what the tables were read from, which name the files. Raises DataCorrupt for other widths.
    """
    name = f"{key}-{hashlib.sha256(' '.join([str(width), *content]).encode()).hexdigest()[:24]}"
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    matrix = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(max(most_rows, 1), width))
    known, rows = pa.array([], pa.string()), 0
    for table in tables:
        fresh = table.filter(pc.invert(pc.is_in(table[key], value_set=known))) if len(known) else table
        lengths = pc.unique(pc.list_value_length(fresh["vector"])).to_pylist()
        if lengths not in ([], [width]):
            raise DataCorrupt(f"vectors by {key} are of widths {lengths}, expected {width}: were they made by another encoder?")
        matrix[rows : rows + len(fresh)] = vector_matrix(fresh["vector"], width)
        rows += len(fresh)
        known = pa.concat_arrays([known, *fresh[key].chunks])
    matrix.flush()
    with pa.OSFile(str(folder / f"{name}.ids"), "wb") as sink, pa.ipc.new_file(sink, _IDS) as writer:
        writer.write_batch(pa.record_batch([known], schema=_IDS))
    return VectorFile(name=name, folder=str(folder), rows=rows, width=width)


@lru_cache(maxsize=64)
def _ids(path: str) -> pa.StringArray:
    with pa.memory_map(path) as source:
        column: pa.ChunkedArray = pa.ipc.open_file(source).read_all()["id"]
    return column.combine_chunks()


@lru_cache(maxsize=64)
def _matrix(path: str) -> NDArray[np.float32]:
    matrix: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return matrix
