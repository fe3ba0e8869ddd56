"""The vectors of what was really shown: the item's own cover, or the generated cover an impression names, and the title.

Reads features/items and features/covers. Knows nothing of users or clicks. Legend: N distinct covers, E encoder width,
V = 2E: unit image embedding, then unit title embedding.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import COVER_FEATURES, ITEM_FEATURES
from icg_tasks.features.window import items_for
from icg_tasks.lake.partitions import find_partition, list_partition_dates, read_partition
from icg_tasks.lake.store import ObjectStore

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ShownCovers:
    """Distinct shown vectors, and for each day the row of each impression (-1 = no vector is known)."""

    covers_NV: Floats
    rows: dict[date, Rows]
    width: int
    encoder: str


def shown_covers(store: ObjectStore, run_date: date, impressions: Mapping[date, pa.Table]) -> ShownCovers:
    """Look up what each impression showed. An item's vector is that of the catalogue which stands for the impression's day
    (features/window), else that of the run date; all of the run date's encoder.

    Raises DataMissing without features/items of the run date, DataCorrupt where widths differ.
    """
    today = read_partition(store, ITEM_FEATURES, run_date)
    encoder = _encoder(store, run_date)
    width = len(today["vector"][0]) if today.num_rows else 0
    if width < 2 or width % 2:
        raise DataCorrupt(f"{ITEM_FEATURES} for {run_date} has vectors of width {width}; expected image and title halves")
    wanted = {name for table in impressions.values() for name in pc.unique(table["item_id"]).to_pylist()}
    book = _Book(width)
    by_day = _items_by_day(store, run_date, list(impressions), encoder, wanted, book)
    images = _cover_images(store, run_date, impressions.values(), width // 2)
    rows = {day: _day_rows(table, by_day[day], images, book) for day, table in impressions.items()}
    return ShownCovers(covers_NV=book.matrix(), rows=rows, width=width, encoder=encoder)


class _Book:
    """Distinct vectors in the order they were met."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._vectors: list[Floats] = []
        self._row: dict[tuple[str, ...], int] = {}

    def add(self, key: tuple[str, ...], vector: Floats) -> int:
        """Row of the vector of this key."""
        if key not in self._row:
            self._row[key] = len(self._vectors)
            self._vectors.append(vector)
        return self._row[key]

    def __getitem__(self, row: int) -> Floats:
        return self._vectors[row]

    def matrix(self) -> Floats:
        """All of them [N, V]."""
        return np.stack(self._vectors) if self._vectors else np.zeros((0, self.width), dtype=np.float32)


def _encoder(store: ObjectStore, day: date) -> str:
    partition = find_partition(store, ITEM_FEATURES, day)
    return str(partition.metadata.get("encoder", "")) if partition else ""


def _items_by_day(
    store: ObjectStore, run_date: date, days: list[date], encoder: str, wanted: set[str], book: _Book
) -> dict[date, dict[str, int]]:
    """Row in ``book`` of each item on each day; a catalogue that stands for several days is read once."""
    found = (find_partition(store, ITEM_FEATURES, day) for day in list_partition_dates(store, ITEM_FEATURES) if day <= run_date)
    parts = [part for part in found if part is not None and part.metadata.get("encoder", "") == encoder]
    chosen = {day: items_for(day, parts).run_date for day in days}
    tables = {day: _item_rows(store, day, wanted, book) for day in sorted({*chosen.values(), run_date})}
    return {day: tables[run_date] | tables[chosen[day]] for day in days}


def _item_rows(store: ObjectStore, day: date, wanted: set[str], book: _Book) -> dict[str, int]:
    table = read_partition(store, ITEM_FEATURES, day, ["item_id", "content_hash", "vector"])
    table = table.filter(pc.is_in(table["item_id"], value_set=pa.array(sorted(wanted), pa.string())))
    vectors = vector_matrix(table["vector"], book.width, f"{ITEM_FEATURES} for {day}")
    names, hashes = table["item_id"].to_pylist(), table["content_hash"].to_pylist()
    return {
        name: book.add((name, content), vectors[row]) for row, (name, content) in enumerate(zip(names, hashes, strict=True))
    }


def _cover_images(store: ObjectStore, run_date: date, tables: Iterable[pa.Table], width: int) -> dict[str, Floats]:
    wanted = {name for table in tables for name in pc.unique(table["cover_id"]).to_pylist() if name is not None}
    images: dict[str, Floats] = {}
    for day in reversed(list_partition_dates(store, COVER_FEATURES)):
        missing = wanted - images.keys()
        if not missing:
            break
        if day > run_date:
            continue
        table = read_partition(store, COVER_FEATURES, day, ["cover_id", "vector"])
        table = table.filter(pc.is_in(table["cover_id"], value_set=pa.array(sorted(missing), pa.string())))
        vectors = vector_matrix(table["vector"], width, f"{COVER_FEATURES} for {day}")
        images |= dict(zip(table["cover_id"].to_pylist(), vectors, strict=True))
    return images


def _day_rows(table: pa.Table, items: dict[str, int], images: dict[str, Floats], book: _Book) -> Rows:
    """Row of ``book`` for each impression; pairs of item and cover are looked up once."""
    seen: dict[tuple[str, str | None], int] = {}
    rows = np.empty(table.num_rows, dtype=np.int64)
    for number, pair in enumerate(zip(table["item_id"].to_pylist(), table["cover_id"].to_pylist(), strict=True)):
        if pair not in seen:
            seen[pair] = _pair_row(pair[0], pair[1], items, images, book)
        rows[number] = seen[pair]
    return rows


def _pair_row(item_id: str, cover_id: str | None, items: dict[str, int], images: dict[str, Floats], book: _Book) -> int:
    own = items.get(item_id, -1)
    if own < 0 or cover_id is None:
        return own
    if cover_id not in images:
        return -1
    image = images[cover_id]
    return book.add((str(own), cover_id, "cover"), np.concatenate([image, book[own][len(image) :]]))


def vector_matrix(column: pa.ChunkedArray, width: int, where: str) -> Floats:
    """A column of vectors as a matrix [rows, width]; raises DataCorrupt for another width, nulls or values not finite."""
    array = column.combine_chunks()
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)
    values = array.flatten().to_numpy(zero_copy_only=False)
    if array.null_count or not (lengths == width).all() or not np.isfinite(values).all():
        raise DataCorrupt(f"{where}: vectors must have {width} finite numbers each; re-run the stage that writes it")
    return np.asarray(values, dtype=np.float32).reshape(len(lengths), width)
