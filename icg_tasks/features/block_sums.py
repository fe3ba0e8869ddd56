"""Blocks of one bucket and day to partial sums per user: one sparse product with the vectors of what was shown. Exact.

Runs in Spark's workers; knows blocks and vector files, neither Spark plans nor partitions. Memory: the bucket's blocks, its
users' sums in float32, and one slice of products at a time. Legend: L lines of blocks, U users, E entries, K shown covers, V
vector width.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from icg_tasks.contracts.schemas import USER_DAYS
from icg_tasks.features.event_weights import UNIT
from icg_tasks.features.exact_sums import SUM_SCALE, VECTOR_BITS, Ints, fixed_point, vector_array
from icg_tasks.features.user_blocks import OWN, UNKNOWN, Shown, unpacked

_MATRIX_VALUES = 1 << 24
"""Vector components held at once as 64-bit numbers, of what was shown and of products: 128 MiB each."""
_HALF_BITS = 20
_SURE_WEIGHT = 2.0**40
"""Below this sum of absolute weights a product with components of 2^22 at most cannot pass 2^63."""


def day_sums(blocks: Sequence[bytes], shown: Shown) -> pa.Table:
    """Partial sums (USER_DAYS) of one day's blocks of one bucket, users ascending."""
    tables = [unpacked(block) for block in blocks]
    users, user_L = sorted_users(pa.chunked_array([chunk for table in tables for chunk in table["user_id"].chunks]))
    numbers = [_added(tables, name, user_L, len(users)) for name in ("information", "impressions", "clicks")]
    lengths_L = np.concatenate([pc.list_value_length(table["shown"]).to_numpy() for table in tables])
    keys_K, key_E = _numbered(_flat(tables, "shown"), shown.size)
    entries = (_flat(tables, "weight"), (np.repeat(user_L, lengths_L), key_E))
    weights_UK = coo_array(entries, shape=(len(users), len(keys_K))).tocsr()
    vectors_UV = _products(weights_UK, keys_K, shown)
    columns = [users, vector_array(vectors_UV), pa.array(numbers[0] / UNIT), *map(pa.array, numbers[1:])]
    return pa.Table.from_arrays(columns, schema=USER_DAYS)


def sorted_users(column: pa.ChunkedArray) -> tuple[pa.StringArray, Ints]:
    """The users that occur, ascending, and each line's number among them."""
    encoded = column.combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order.to_numpy()] = np.arange(len(order))
    return encoded.dictionary.take(order), rank[encoded.indices.to_numpy()]


def _products(weights_UK: csr_array, keys_K: Ints, shown: Shown) -> NDArray[np.float32]:
    """Weights times vectors [U, V], in units of 1, a slice of columns and of users at a time."""
    num_users, width = weights_UK.shape[0], shown.items.width
    result_UV = np.empty((num_users, width), dtype=np.float32)
    heavy_U = np.flatnonzero(_absolute_sums(weights_UK) >= _SURE_WEIGHT)
    num_columns = max(1, min(width, _MATRIX_VALUES // max(len(keys_K), 1)))
    for first in range(0, width, num_columns):
        columns = slice(first, min(first + num_columns, width))
        vectors_KV = fixed_point(shown_vectors(keys_K, shown, columns), VECTOR_BITS)
        num_rows = max(1, _MATRIX_VALUES // max(columns.stop - columns.start, 1))
        for start in range(0, num_users, num_rows):
            result_UV[start : start + num_rows, columns] = (weights_UK[start : start + num_rows] @ vectors_KV) / SUM_SCALE
        if len(heavy_U):
            result_UV[heavy_U, columns] = _wide_product(weights_UK[heavy_U], vectors_KV)
    return result_UV


def shown_vectors(keys_K: Ints, shown: Shown, columns: slice) -> NDArray[np.float32]:
    """Vectors of covers as they were shown: a generated cover's image half in place of the item's. Unknown parts are zero."""
    item_K, cover_K = keys_K // shown.codes - 1, keys_K % shown.codes
    vectors_KV = np.zeros((len(keys_K), columns.stop - columns.start), dtype=np.float32)
    vectors_KV[item_K >= 0] = shown.items.vectors(item_K[item_K >= 0], columns)
    half = shown.items.width // 2
    image = slice(columns.start, min(columns.stop, half))
    if image.start >= half:
        return vectors_KV
    vectors_KV[cover_K != OWN, : image.stop - image.start] = 0.0
    known = cover_K > UNKNOWN
    if known.any() and shown.covers is not None:
        vectors_KV[known, : image.stop - image.start] = shown.covers.vectors(cover_K[known] - 2, image)
    return vectors_KV


def _wide_product(weights_HK: csr_array, vectors_KV: Ints) -> NDArray[np.float64]:
    """The product of users whose sums may not fit 63 bits: in two halves, each exact."""
    high_HK, low_HK = weights_HK.copy(), weights_HK.copy()
    high_HK.data = weights_HK.data >> _HALF_BITS
    low_HK.data = weights_HK.data & ((1 << _HALF_BITS) - 1)
    whole = (high_HK @ vectors_KV) * 2.0**_HALF_BITS + (low_HK @ vectors_KV)
    return np.asarray(whole / SUM_SCALE, dtype=np.float64)


def _absolute_sums(weights_UK: csr_array) -> NDArray[np.float64]:
    row_E = np.repeat(np.arange(weights_UK.shape[0]), np.diff(weights_UK.indptr))
    return np.asarray(np.bincount(row_E, weights=np.abs(weights_UK.data), minlength=weights_UK.shape[0]))


def _added(tables: Sequence[pa.Table], name: str, user_L: Ints, num_users: int) -> Ints:
    values_L = np.concatenate([table[name].to_numpy() for table in tables])
    sums_U = np.zeros(num_users, dtype=np.int64)
    np.add.at(sums_U, user_L, values_L)
    return sums_U


def _flat(tables: Sequence[pa.Table], name: str) -> Ints:
    chunks = [chunk.flatten().to_numpy() for table in tables for chunk in table[name].chunks]
    return np.concatenate(chunks).astype(np.int64)


def _numbered(keys_E: Ints, size: int) -> tuple[Ints, Ints]:
    """The numbers that occur, ascending, and each entry's place among them."""
    if size <= max(1 << 20, 4 * len(keys_E)):
        seen = np.zeros(size, dtype=bool)
        seen[keys_E] = True
        keys_K = np.flatnonzero(seen)
        place = np.zeros(size, dtype=np.int32)
        place[keys_K] = np.arange(len(keys_K), dtype=np.int32)
        return keys_K, place[keys_E].astype(np.int64)
    found, places = np.unique(keys_E, return_inverse=True)
    return found, places.astype(np.int64)
