"""One day of a raw data set as it lies in the store: every file that can be read as a table, and why the others cannot.

Files come from outside: names, sizes and content are not trusted. Sizes are bounded before reading and again before
decoding. Does not know what the columns mean.
"""

import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.partitions import PARTITION_MANIFEST, checked_key, partition_prefix
from icg_tasks.intake.parquet_bounded import UnreadableFileError, read_parquet_bounded
from icg_tasks.lake.partitions import Partition, find_partition
from icg_tasks.lake.store import ObjectStore

OWN_WRITER = "part-"  # files our own partition writer makes: when a manifest no longer lists one, it is a left-over


@dataclass(frozen=True, kw_only=True)
class BadFile:
    """A file no row could be read from; ``rows`` is what it should have held, None where only its ``size`` hints at it."""

    key: str
    reason: str
    detail: str
    rows: int | None = None
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class RawDay:
    """``tables`` by file key in key order, ``readable_bytes`` as stored; ``metadata`` of the manifest, where there is one."""

    tables: dict[str, pa.Table]
    bad_files: list[BadFile]
    readable_bytes: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def readable_rows(self) -> int:
        """Rows of all tables."""
        return sum(table.num_rows for table in self.tables.values())

    @property
    def lost_rows(self) -> int:
        """Rows of the bad files: as promised by the manifest, else by size at the readable files' bytes per row, at least 1."""
        row_bytes = self.readable_bytes / self.readable_rows if self.readable_rows else float("inf")
        return sum(max(1, int(file.size / row_bytes)) if file.rows is None else file.rows for file in self.bad_files)


def raw_day_exists(store: ObjectStore, dataset: str, day: date) -> bool:
    """Whether anything but hidden files lies below the day's prefix."""
    return bool(_file_keys(store, dataset, day))


def read_raw_day(store: ObjectStore, dataset: str, day: date, *, max_file_bytes: int) -> RawDay:
    """Every file of the day; raises DataMissing where there is none."""
    keys = _file_keys(store, dataset, day)
    manifest, complaint = _manifest(store, dataset, day)
    listed = _listed(manifest, f"{partition_prefix(dataset, day)}/") if manifest else {}
    if manifest:
        keys = [key for key in keys if key in listed or not key.rpartition("/")[2].startswith(OWN_WRITER)]
    if not keys and not listed:
        raise DataMissing(
            f"no files below {store.address(partition_prefix(dataset, day))}; the platform (or `icg simulate`, `icg ingest`) "
            f"writes {dataset} for {day} first"
        )
    tables: dict[str, pa.Table] = {}
    bad = [complaint] if complaint else []
    readable_bytes = 0
    names = sorted({*keys, *listed})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        files = list(pool.map(lambda key: _read(store, key, listed.get(key), max_file_bytes), names))
    for key, (file, size) in zip(names, files, strict=True):
        if isinstance(file, BadFile):
            bad.append(file)
        else:
            tables[key] = file
            readable_bytes += size
    metadata = manifest.metadata if manifest and isinstance(manifest.metadata, dict) else {}
    return RawDay(tables=tables, bad_files=bad, readable_bytes=readable_bytes, metadata=metadata)


def _file_keys(store: ObjectStore, dataset: str, day: date) -> list[str]:
    prefix = f"{partition_prefix(dataset, day)}/"
    return [key for key in store.list(prefix) if not any(part.startswith(("_", ".")) for part in key[len(prefix) :].split("/"))]


def _manifest(store: ObjectStore, dataset: str, day: date) -> tuple[Partition | None, BadFile | None]:
    try:
        return find_partition(store, dataset, day), None
    except DataCorrupt as error:
        key = f"{partition_prefix(dataset, day)}/{PARTITION_MANIFEST}"
        return None, BadFile(key=key, reason="manifest_unreadable", detail=str(error), rows=0)


def _listed(manifest: Partition, prefix: str) -> dict[str, int | None]:
    """Files below the day's own prefix that the manifest lists, with the rows it promises (None where that is no number)."""
    return {
        file.key: file.rows if isinstance(file.rows, int) and file.rows >= 0 else None
        for file in manifest.files
        if isinstance(file.key, str) and file.key.startswith(prefix)
    }


def _size(store: ObjectStore, key: str) -> int | None:
    """Bytes of the object, None where it is gone or its name is unsafe."""
    try:
        return store.size(key)
    except (DataMissing, DataCorrupt):
        return None


def _read(store: ObjectStore, key: str, promised: int | None, max_file_bytes: int) -> tuple[pa.Table | BadFile, int]:
    """The file as a table, or why it is none (``promised``: the rows its manifest says it has); and its bytes as stored."""
    size = _size(store, key)
    try:
        return _read_table(store, key, size, max_file_bytes), size or 0
    except UnreadableFileError as error:
        rows = error.rows if error.rows is not None else promised
        return BadFile(key=key, reason=error.reason, detail=str(error), rows=rows, size=size or 0), size or 0


def _read_table(store: ObjectStore, key: str, size: int | None, max_file_bytes: int) -> pa.Table:
    try:
        checked_key(key)
    except DataCorrupt as error:
        raise UnreadableFileError("file_name_unsafe", str(error)) from error
    if size is None:
        raise UnreadableFileError("file_missing", "the manifest lists this file, but it is not there")
    if not key.endswith(".parquet"):
        raise UnreadableFileError("file_not_parquet", f"{size} bytes with a name that does not end in .parquet", rows=0)
    if size > max_file_bytes:
        raise UnreadableFileError("file_too_large", f"{size} bytes; intake.max_raw_file_bytes allows {max_file_bytes}")
    path = store.local_path(key)
    if path is not None:
        return read_parquet_bounded(path, max_file_bytes)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "raw.parquet"
        store.download(key, path)
        return read_parquet_bounded(path, max_file_bytes)
