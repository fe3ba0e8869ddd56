"""What the newest earlier manifest holds, and why a pair of today is not simply kept from it.

Reads manifests and plans; draws nothing. Legend: V width of a user vector.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.covers.requests import Vector, rounded
from icg_tasks.covers.shards import PairKey, pair_key
from icg_tasks.covers.versions import from_metadata
from icg_tasks.lake.partitions import find_partition, latest_partition_before, read_partition
from icg_tasks.stage import StageContext

KEPT = "kept"
NEW = "new"
ITEM, MODEL, SETTINGS, SEGMENT = "item changed", "model changed", "settings changed", "segment moved"
LOST = "image lost"
REJECTED = "rejected before"
POSTPONED = "postponed"
OVER_BUDGET = "over budget"
UNKNOWN = "changed"
"""A plan of a former release does not say what its covers were made from."""
_READERS = 16

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Former:
    """The newest earlier manifest, its plan, and the vectors its covers were made for."""

    day: date | None = None
    covers: dict[str, str] = field(default_factory=dict)  # cover ids by request hash, of images that are there
    rows: dict[PairKey, Row] = field(default_factory=dict)  # of the manifest: seed, request_hash, cover_id, there
    planned: dict[PairKey, Row] = field(default_factory=dict)  # of the plan: content_hash, reason
    vectors: dict[str, tuple[Vector, str]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)  # of the plan

    @classmethod
    def read(cls, context: StageContext) -> "Former":
        """As of the day before; covers whose image is gone from the store cannot be kept."""
        store = context.store
        day = latest_partition_before(store, keys.COVER_MANIFESTS, context.run_date)
        if day is None:
            return cls()
        columns = ["segment_id", "item_id", "variant", "request_hash", "cover_id", "blob", "seed"]
        rows = read_partition(store, keys.COVER_MANIFESTS, day, columns).to_pylist()
        blobs = sorted({row["blob"] for row in rows})
        with ThreadPoolExecutor(_READERS) as pool:
            there = dict(zip(blobs, pool.map(store.exists, blobs), strict=True))
        for row in rows:
            row["there"] = there[row["blob"]]
        vectors: dict[str, tuple[Vector, str]] = {}
        if find_partition(store, keys.COVER_PLAN_SEGMENTS, day) is not None:
            table = read_partition(store, keys.COVER_PLAN_SEGMENTS, day).to_pylist()
            vectors = {row["segment_id"]: (rounded(row["vector"]), row["set_on"]) for row in table}
        plan = find_partition(store, keys.COVER_PLANS, day)
        planned = read_partition(store, keys.COVER_PLANS, day).to_pylist() if plan else []
        return cls(
            day=day,
            covers={row["request_hash"]: row["cover_id"] for row in rows if row["there"]},
            rows={pair_key(row): row for row in rows},
            planned={pair_key(row): row for row in planned},
            vectors=vectors,
            metadata=dict(plan.metadata) if plan else {},
        )

    def why(self, wanted: Row, *, same_vector: bool, versions: Mapping[str, str], settings: Mapping[str, Any]) -> str:
        """Why a planned row (with ``content_hash`` and ``kept_cover_id``) is kept or made, as one of the words above."""
        if wanted["kept_cover_id"] is not None:
            return KEPT
        pair = pair_key(wanted)
        row, planned = self.rows.get(pair), self.planned.get(pair)
        if row is None:
            return REJECTED if planned is not None and planned["shard"] is not None else NEW
        if planned is None or planned.get("content_hash") is None:
            return UNKNOWN
        if planned["reason"] == OVER_BUDGET:
            return POSTPONED
        changes = {
            ITEM: planned["content_hash"] != wanted["content_hash"],
            MODEL: from_metadata(self.metadata, versions["generator"]) != dict(versions),
            SETTINGS: (self.metadata.get("settings") or {}) != dict(settings),
            SEGMENT: not same_vector,
            LOST: not row["there"],
        }
        return next((reason for reason, changed in changes.items() if changed), UNKNOWN)
