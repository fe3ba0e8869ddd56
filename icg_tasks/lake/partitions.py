"""Whole-partition writes. Files go to content-addressed keys first; the manifest, written last, makes them visible at once.

A partition ``clean/items/ds=2026-03-01/`` holds ``_manifest.json`` and data files ``part-00000-<sha12>.parquet``. Readers look
at the manifest only, so a half-written or replaced partition is never seen torn. The same tables give the same bytes.
"""

import hashlib
import io
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.partitions import PARTITION_MANIFEST, parse_partition_date, partition_prefix
from icg_tasks.lake.store import ObjectStore


@dataclass(frozen=True, kw_only=True)
class PartitionFile:
    """One data file of a partition."""

    key: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class EncodedPart:
    """A data file's bytes, before it has a name."""

    data: bytes
    rows: int


@dataclass(frozen=True, kw_only=True)
class Partition:
    """What a manifest says."""

    dataset: str
    run_date: date
    files: list[PartitionFile]
    metadata: dict[str, Any]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet bytes; equal tables give equal bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", store_schema=True)
    return sink.getvalue()


def write_partition(
    store: ObjectStore,
    dataset: str,
    run_date: date,
    tables: Sequence[pa.Table],
    *,
    schema: pa.Schema,
    metadata: Mapping[str, Any] | None = None,
) -> Partition:
    """Replace one day's partition whole by these tables, each cast to ``schema`` (raises DataCorrupt where that fails).

    ``metadata`` must be JSON and free of clocks, so that the same inputs write the same bytes.
    """
    files = [
        write_partition_part(store, dataset, run_date, number, table, schema=schema) for number, table in enumerate(tables)
    ]
    return finish_partition(store, dataset, run_date, files, metadata=metadata)


def write_partition_part(
    store: ObjectStore, dataset: str, run_date: date, number: int, table: pa.Table, *, schema: pa.Schema
) -> PartitionFile:
    """Write one data file, invisible until ``finish_partition`` lists it (many workers may write at once)."""
    return store_part(store, dataset, run_date, number, encode_part(dataset, run_date, table, schema=schema))


def encode_part(dataset: str, run_date: date, table: pa.Table, *, schema: pa.Schema) -> EncodedPart:
    """A data file that is written nowhere yet; raises DataCorrupt where the table cannot be cast to ``schema``."""
    try:
        whole = table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise DataCorrupt(f"{dataset} for {run_date}: table does not fit its declared schema: {error}") from error
    return EncodedPart(data=parquet_bytes(whole), rows=whole.num_rows)


def store_part(store: ObjectStore, dataset: str, run_date: date, number: int, part: EncodedPart) -> PartitionFile:
    """Write an encoded data file, invisible until ``finish_partition`` lists it."""
    digest = hashlib.sha256(part.data).hexdigest()
    key = f"{partition_prefix(dataset, run_date)}/part-{number:05d}-{digest[:12]}.parquet"
    store.put(key, part.data)
    return PartitionFile(key=key, rows=part.rows, size=len(part.data), sha256=digest)


def write_partition_files(
    store: ObjectStore, dataset: str, run_date: date, paths: Iterable[Path], *, metadata: Mapping[str, Any] | None = None
) -> Partition:
    """Replace one day's partition whole by these Parquet files (what Spark wrote), in the given order."""
    files = []
    for number, path in enumerate(paths):
        part = EncodedPart(data=path.read_bytes(), rows=pq.read_metadata(path).num_rows)
        files.append(store_part(store, dataset, run_date, number, part))
    return finish_partition(store, dataset, run_date, files, metadata=metadata)


def find_partition(store: ObjectStore, dataset: str, run_date: date) -> Partition | None:
    """What the day's manifest says, or None where there is no complete partition."""
    found = store.get_with_etag(manifest_key(dataset, run_date))
    if found is None:
        return None
    try:
        body = json.loads(found[0])
        files = [PartitionFile(**entry) for entry in body["files"]]
        return Partition(dataset=dataset, run_date=run_date, files=files, metadata=body["metadata"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataCorrupt(
            f"manifest of {dataset} for {run_date} is unreadable ({error}); re-run the stage that writes it"
        ) from error


def read_partition(store: ObjectStore, dataset: str, run_date: date, columns: Sequence[str] | None = None) -> pa.Table:
    """The whole partition as one table; raises DataMissing without a manifest, DataCorrupt on damaged files."""
    partition = find_partition(store, dataset, run_date)
    if partition is None:
        raise DataMissing(f"no complete partition of {dataset} for {run_date} in {store.uri}; run the stage that writes it")
    if not partition.files:
        raise DataCorrupt(f"partition of {dataset} for {run_date} lists no files")
    return pa.concat_tables([read_partition_file(store, file, columns) for file in partition.files])


def list_partition_dates(store: ObjectStore, dataset: str) -> list[date]:
    """Dates with a complete partition, ascending."""
    keys = (key for key in store.list(f"{dataset}/ds=") if key.endswith(f"/{PARTITION_MANIFEST}"))
    found = {parse_partition_date(key) for key in keys if key.count("/") == dataset.count("/") + 2}
    return sorted(day for day in found if day is not None)


def latest_partition_before(store: ObjectStore, dataset: str, run_date: date) -> date | None:
    """The newest complete partition strictly before a date, or None."""
    earlier = [day for day in list_partition_dates(store, dataset) if day < run_date]
    return earlier[-1] if earlier else None


def local_files(store: ObjectStore, partition: Partition, scratch: Path) -> list[Path]:
    """The partition's files on this machine's disk: in place where the store is local, else downloaded below scratch."""
    paths = []
    for file in partition.files:
        path = store.local_path(file.key)
        if path is None:
            path = scratch / file.key
            if not path.exists():
                store.download(file.key, path)
        paths.append(path)
    return paths


def finish_partition(
    store: ObjectStore,
    dataset: str,
    run_date: date,
    files: Sequence[PartitionFile],
    *,
    metadata: Mapping[str, Any] | None = None,
) -> Partition:
    """Make one day's partition these files, whole and at once, by writing its manifest."""
    partition = Partition(dataset=dataset, run_date=run_date, files=list(files), metadata=dict(metadata or {}))
    store.put(manifest_key(dataset, run_date), manifest_bytes(partition))
    return partition


def commit_partition(store: ObjectStore, partition: Partition, etag: str | None) -> bool:
    """Make a day's partition visible only where its manifest is still the one with this etag (None: still absent).

    False where another writer came first with something else; the very same manifest counts as one's own.
    """
    key, data = manifest_key(partition.dataset, partition.run_date), manifest_bytes(partition)
    written = store.put_if_absent(key, data) if etag is None else store.put_if_match(key, data, etag)
    if written:
        return True
    found = store.get_with_etag(key)
    return found is not None and found[0] == data


def manifest_key(dataset: str, run_date: date) -> str:
    """Where a day's manifest lies.

    >>> manifest_key("clean/items", date(2026, 3, 1))
    'clean/items/ds=2026-03-01/_manifest.json'
    """
    return f"{partition_prefix(dataset, run_date)}/{PARTITION_MANIFEST}"


def manifest_bytes(partition: Partition) -> bytes:
    """What a manifest holds; equal partitions have equal bytes."""
    body = {
        "dataset": partition.dataset,
        "ds": partition.run_date.isoformat(),
        "files": [{"key": f.key, "rows": f.rows, "size": f.size, "sha256": f.sha256} for f in partition.files],
        "metadata": partition.metadata,
    }
    return json.dumps(body, sort_keys=True, indent=1, allow_nan=False).encode()


def read_partition_file(store: ObjectStore, file: PartitionFile, columns: Sequence[str] | None) -> pa.Table:
    """One data file's table; raises DataCorrupt where it is missing or not what the manifest lists."""
    path = store.local_path(file.key)
    with tempfile.TemporaryDirectory() as scratch:
        if path is None:
            path = Path(scratch) / "part.parquet"
            store.download(file.key, path)
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise DataCorrupt(f"{store.address(file.key)} is missing or not the file its manifest lists; re-run its stage")
        return pq.read_table(io.BytesIO(data), columns=list(columns) if columns else None)
