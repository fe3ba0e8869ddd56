"""Sums of weighted vectors that come out the same in any order: whole numbers in fixed point, one running sum per key.

Floating sums depend on the order in which Spark's partitions arrive; sums of int64 do not. Runs inside Spark's Python workers
(mapInArrow). Knows Arrow batches and numpy; no data set. Legend: N rows, V vector width, G groups of equal keys.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

VECTOR_BITS = 22
"""Fixed point of vector components (each of size 1 at most) and of weights: their product has 2 x 20 + 2 bits."""
WEIGHT_BITS = 20
SUM_SCALE = 2.0 ** (VECTOR_BITS + WEIGHT_BITS)
"""What an exact sum of weight x vector is divided by. 2^20 rows of weight 1 per key fit with a bit to spare."""

Ints = NDArray[np.int64]
VectorsOf = Callable[[pa.RecordBatch], Ints]
"""From a batch of rows to each row's contribution [N, V] in fixed point."""


@dataclass
class _Open:
    """The group at the end of a batch, which the next batch may go on with."""

    key: tuple[object, ...]
    vector: Ints
    numbers: Ints


def fixed_point(values: NDArray[np.floating], bits: int) -> Ints:
    """Nearest multiples of 2^-bits, as whole numbers.

    >>> fixed_point(np.array([0.5, -0.25]), 2).tolist()
    [2, -1]
    """
    return np.rint(np.asarray(values, dtype=np.float64) * 2.0**bits).astype(np.int64)


def numbers_of(column: pa.Array | pa.ChunkedArray, otherwise: int) -> Ints:
    """A column of whole numbers (or booleans), nulls as ``otherwise``.

    Read from the buffer: ``fill_null`` and ``to_numpy`` would make pyarrow import pandas first.

    >>> numbers_of(pa.array([3, None, 1], pa.int32()), -1).tolist()
    [3, -1, 1]
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):  # of an empty table
        return np.zeros(0, dtype=np.int64)
    if pa.types.is_boolean(whole.type):
        whole = whole.cast(pa.int8())
    if len(whole) == 0:
        return np.zeros(0, dtype=np.int64)
    values = np.frombuffer(whole.buffers()[1], dtype=whole.type.to_pandas_dtype())[whole.offset : whole.offset + len(whole)]
    if whole.null_count == 0:
        return values.astype(np.int64)
    return np.where(whole.is_valid().to_numpy(zero_copy_only=False), values, otherwise).astype(np.int64)


def list_column(batch: pa.RecordBatch, name: str, width: int) -> NDArray[np.float32]:
    """A column of vectors as a matrix [N, width]; rows that are null become zeros. ValueError on another width."""
    column = batch.column(name)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    matrix = np.zeros((len(column), width), dtype=np.float32)
    given = lengths > 0
    if not (lengths[given] == width).all():
        raise ValueError(f"column {name} holds vectors of width {sorted(set(lengths[given].tolist()))}, expected {width}")
    if given.any():
        matrix[given] = pc.list_flatten(column).to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix


def sums_by_key(
    batches: Iterable[pa.RecordBatch], keys: Sequence[str], numbers: Sequence[str], vectors_of: VectorsOf
) -> Iterator[tuple[list[tuple[object, ...]], Ints, Ints]]:
    """Keys [G], vector sums [G, V] and sums of the whole-number columns [G, len(numbers)] of batches sorted by the keys."""
    last: _Open | None = None
    for batch in batches:
        if batch.num_rows == 0:
            continue
        starts = _group_starts(batch, keys)
        found = list(zip(*(batch.column(name).take(pa.array(starts)).to_pylist() for name in keys), strict=True))
        vectors_GV = np.add.reduceat(vectors_of(batch), starts, axis=0)
        counts_NC = np.stack([batch.column(name).to_numpy(zero_copy_only=False).astype(np.int64) for name in numbers], axis=1)
        numbers_GC = np.add.reduceat(counts_NC, starts, axis=0)
        if last is not None and last.key == found[0]:
            vectors_GV[0] += last.vector
            numbers_GC[0] += last.numbers
        elif last is not None:
            yield [last.key], last.vector[None], last.numbers[None]
        if len(found) > 1:
            yield found[:-1], vectors_GV[:-1], numbers_GC[:-1]
        last = _Open(key=found[-1], vector=vectors_GV[-1], numbers=numbers_GC[-1])
    if last is not None:
        yield [last.key], last.vector[None], last.numbers[None]


def vector_array(matrix: NDArray[np.float32]) -> pa.ListArray:
    """A matrix [N, V] as an Arrow column of list<float32>."""
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(matrix, dtype=np.float32).ravel()))


def vector_matrix(column: pa.ChunkedArray, width: int) -> NDArray[np.float32]:
    """A table's column of list<float32>, none null, as a matrix [N, width]."""
    values = column.combine_chunks()
    flat = np.asarray(values.flatten() if len(values) else [], dtype=np.float32)
    return flat.reshape(-1, width)


def _group_starts(batch: pa.RecordBatch, keys: Sequence[str]) -> NDArray[np.intp]:
    changed = np.zeros(batch.num_rows, dtype=bool)
    changed[0] = True
    for name in keys:
        codes = batch.column(name).dictionary_encode().indices.to_numpy(zero_copy_only=False)
        changed[1:] |= codes[1:] != codes[:-1]
    return np.flatnonzero(changed)
