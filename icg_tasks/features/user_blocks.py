"""Rows of impressions to blocks: per chunk of rows and bucket of users one sparse matrix, users by what they were shown.

A block is what travels between machines, in place of rows: Arrow bytes with a line per user (counts, and two lists: what was
shown, what it weighs). Rows of one user and one cover within a chunk are one entry, so a bot with a million events is as
small as the catalogue it looked at. Whole numbers throughout, so blocks add up in any order. Runs in Spark's workers; knows
columns and vector files, no Spark plan. Legend: N rows, U users of a chunk, E entries.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_array

from icg_tasks.config.features import EventSettings
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.features.event_weights import Place, columns_needed, weigh
from icg_tasks.features.exact_sums import Ints, numbers_of
from icg_tasks.features.spark_hash import bucket_of
from icg_tasks.features.vector_files import VectorFile

OWN, UNKNOWN = 0, 1
"""Cover codes: the item's own cover; a generated one without a vector. Others are 2 + row."""
LINE_COLUMNS = ["user_id", "information", "impressions", "clicks", "shown", "weight"]
"""The last two are lists of equal lengths, of 32 or 64 bits, whatever holds them."""
BLOCKS = pa.schema(
    [
        ("bucket", pa.int32()),
        ("ds", pa.string()),
        ("without_item", pa.int64()),
        ("without_cover", pa.int64()),
        ("block", pa.binary()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The vectors that rows of a day point into. A cover that is shown is one number: (item row + 1) x codes + cover code."""

    items: VectorFile
    covers: VectorFile | None
    by_cover: bool = True  # False: what an item's cover looked like does not matter

    @property
    def codes(self) -> int:
        """How many cover codes there are."""
        return 2 + (self.covers.rows if self.covers is not None else 0)

    @property
    def size(self) -> int:
        """One more than the largest number."""
        return (self.items.rows + 1) * self.codes


@dataclass(frozen=True, kw_only=True)
class BlockMaker:
    """Chunks of a day's rows to blocks: settings, rates by day, vectors by day, number of buckets."""

    events: EventSettings
    rates: Mapping[date, Mapping[Place, float]]
    shown: Mapping[date, Shown]
    num_buckets: int

    def columns(self) -> list[str]:
        """What is read of clean/impressions."""
        return ["user_id", "item_id", "cover_id", *columns_needed(self.events)]

    def __call__(self, day: date, tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
        """Rows of BLOCKS, one per bucket and chunk."""
        for table in tables:
            if table.num_rows:
                yield from self._blocks(day, table)

    def _blocks(self, day: date, table: pa.Table) -> Iterator[pa.RecordBatch]:
        weighed = weigh(table, day, self.events, self.rates[day])
        users, user_N = codes_of(table["user_id"])
        if (user_N < 0).any():
            raise DataCorrupt(
                f"clean/impressions for {day} has rows without a user; run `icg validate-impressions` for that day"
            )
        shown, item_N, cover_N = self.shown[day], *self._places(day, table)
        bucket_U = bucket_of(users, self.num_buckets)
        order_U = np.argsort(bucket_U.astype(np.uint16), kind="stable")
        rank_U = np.empty(len(users), dtype=np.int32)
        rank_U[order_U] = np.arange(len(users), dtype=np.int32)
        rank_N, keys_N = rank_U[user_N], item_N * shown.codes + cover_N
        lines = _lines(users.take(pa.array(order_U)), rank_N, keys_N, shown.size, weighed.residual_N)
        numbers = [_counted(rank_N, values_N, len(users)) for values_N in (weighed.information_N, None, weighed.click_N)]
        lost = [_counted(rank_N, lost_N.astype(np.int64), len(users)) for lost_N in (item_N == 0, cover_N == UNKNOWN)]
        batch = pa.RecordBatch.from_arrays([lines[0], *map(pa.array, numbers), *lines[1:]], LINE_COLUMNS)
        limits = np.searchsorted(bucket_U[order_U], np.arange(self.num_buckets + 1))
        for bucket in np.flatnonzero(np.diff(limits)).tolist():
            part = slice(int(limits[bucket]), int(limits[bucket + 1]))
            row = [bucket, day.isoformat(), int(lost[0][part].sum()), int(lost[1][part].sum())]
            block = packed(batch.slice(part.start, part.stop - part.start))
            yield pa.RecordBatch.from_pylist([dict(zip(BLOCKS.names, [*row, block], strict=True))], schema=BLOCKS)

    def _places(self, day: date, table: pa.Table) -> tuple[Ints, Ints]:
        """Per row the item's row + 1 (0 without a vector), and the cover code."""
        shown = self.shown[day]
        items, item_N = codes_of(table["item_id"])
        item_N = np.append(shown.items.numbers(items) + 1, 0)[item_N]
        covers, cover_N = codes_of(table["cover_id"])
        if not len(covers) or not shown.by_cover:
            return item_N, np.full(len(item_N), OWN, dtype=np.int64)
        known = shown.covers.numbers(covers) if shown.covers is not None else np.full(len(covers), -1, dtype=np.int64)
        return item_N, np.append(np.where(known >= 0, known + 2, UNKNOWN), OWN)[cover_N]


def codes_of(column: pa.ChunkedArray) -> tuple[pa.StringArray, Ints]:
    """The texts that occur, and each row's number among them, -1 for null (so that it picks the last of an appended array)."""
    whole = column.unify_dictionaries().combine_chunks() if pa.types.is_dictionary(column.type) else column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        return pa.array([], pa.string()), np.zeros(0, dtype=np.int64)
    encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    return encoded.dictionary.cast(pa.string()), numbers_of(encoded.indices, -1)


def unpacked(block: bytes | pa.Buffer) -> pa.Table:
    """A block's lines."""
    return pa.ipc.open_stream(pa.BufferReader(block)).read_all()


def packed(lines: pa.RecordBatch) -> bytes:
    """Lines as a block: Arrow's stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, lines.schema) as writer:
        writer.write_batch(lines)
    return bytes(sink.getvalue())


def _lines(
    users: pa.StringArray, rank_N: NDArray[np.int32], keys_N: Ints, size: int, weight_N: Ints
) -> tuple[pa.StringArray, pa.ListArray, pa.ListArray]:
    """Users with the numbers of what they were shown and what it weighs, equal ones added up."""
    entries = coo_array((weight_N, (rank_N, keys_N)), shape=(len(users), size)).tocsr()
    offsets = pa.array(entries.indptr.astype(np.int32))
    lists = [pa.ListArray.from_arrays(offsets, pa.array(_narrow(values))) for values in (entries.indices, entries.data)]
    return users, *lists


def _counted(rank_N: NDArray[np.int32], values_N: Ints | None, num_users: int) -> Ints:
    """Sums by user; doubles hold them exactly, a chunk has too few rows to pass 2^53."""
    return np.asarray(np.bincount(rank_N, weights=values_N, minlength=num_users), dtype=np.int64)


def _narrow(values_E: Ints) -> NDArray[np.signedinteger]:
    fits = len(values_E) == 0 or (values_E.min() > -(2**31) and values_E.max() < 2**31)
    return values_E.astype(np.int32 if fits else np.int64)
