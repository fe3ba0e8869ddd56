"""What a shard's run has finished so far, kept in the store, so that a try on another machine goes on from there.

Belongs to one plan: progress of another one is dropped. Invisible to publish-covers. Knows rows and keys; no image.
"""

import io
import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icg_tasks.contracts.partitions import partition_prefix
from icg_tasks.contracts.schemas import COVER_SHARD
from icg_tasks.covers.shards import PairKey, pair_key, requests_digest, shard_dataset
from icg_tasks.lake.partitions import parquet_bytes
from icg_tasks.stage import StageContext

_SAVE_EVERY_SECONDS = 20.0

Row = dict[str, Any]


class Progress:
    """Finished rows by (segment, item, variant)."""

    def __init__(self, context: StageContext, shard: int, planned: list[Row]) -> None:
        self._store, self._requests = context.store, requests_digest(planned)
        prefix = partition_prefix(shard_dataset(shard), context.run_date)
        self._key = f"{prefix}/_progress-{self._requests[:16]}.parquet"
        self._saved_at = time.monotonic()
        self.rows: dict[PairKey, Row] = {pair_key(row): row for row in self._load() if self._has_blob(row)}

    def add(self, rows: list[Row]) -> None:
        """Rows whose blobs are in the store."""
        self.rows |= {pair_key(row): row for row in rows}

    def due(self) -> bool:
        """Whether enough time has passed to save again."""
        return time.monotonic() - self._saved_at >= _SAVE_EVERY_SECONDS

    def save(self) -> None:
        """Keep what there is."""
        table = pa.Table.from_pylist([self.rows[key] for key in sorted(self.rows)], schema=COVER_SHARD)
        self._store.put(self._key, parquet_bytes(table))
        self._saved_at = time.monotonic()

    def clear(self) -> None:
        """Forget it: the shard is finished."""
        self._store.delete(self._key)

    def _load(self) -> list[Row]:
        found = self._store.get_with_etag(self._key)
        if found is None:
            return []
        try:
            return list(pq.read_table(io.BytesIO(found[0]), schema=COVER_SHARD).to_pylist())
        except (pa.ArrowInvalid, OSError):
            return []  # damaged progress is no progress

    def _has_blob(self, row: Row) -> bool:
        return row["rejected"] is not None or self._store.exists(row["blob"])
