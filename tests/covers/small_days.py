"""Published days made of a handful of tiny covers, written as generate-covers would leave them."""

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from icg_tasks.config import load_settings
from icg_tasks.config.settings import Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.covers import publish
from icg_tasks.covers.checks import encode_webp
from icg_tasks.covers.shards import write_shard
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext
from tests.covers.conftest import picture

FIRST = date(2026, 3, 1)
USERS = {f"{number:032x}": f"s{number % 2}" for number in range(4)}


@dataclass
class SmallDays:
    """A store and settings; ``publish`` writes everything before publish-covers, then runs it."""

    store: ObjectStore
    settings: Settings

    @classmethod
    def within(cls, store: ObjectStore, folder: Path) -> "SmallDays":
        return cls(store=store, settings=load_settings("tiny", [f"work_folder={folder}"]))

    def publish(self, number: int, pictures: list[int], kept_from: int | None = None) -> None:
        """Day FIRST + number shows these pictures, one item each; those that an earlier day had too may be kept from it."""
        day = FIRST + timedelta(days=number)
        self._inputs(day)
        planned = [_planned(item, seed) for item, seed in enumerate(pictures)]
        if kept_from is not None:
            planned = [
                row | {"shard": None, "kept_cover_id": _cover(seed)[0]} for row, seed in zip(planned, pictures, strict=True)
            ]
        else:
            for seed in pictures:
                name, data = _cover(seed)
                self.store.put(keys.blob_key(name), data)
            rows = [_made(row, seed, day) for row, seed in zip(planned, pictures, strict=True)]
            write_shard(self.store, day, 0, rows, planned)
        former = (FIRST + timedelta(days=kept_from)).isoformat() if kept_from is not None else None
        table = pa.Table.from_pylist(planned, schema=schemas.COVER_PLAN)
        metadata = {"versions": {}, "kept_from": former}
        write_partition(self.store, keys.COVER_PLANS, day, [table], schema=schemas.COVER_PLAN, metadata=metadata)
        publish.run(StageContext(stage="publish-covers", run_date=day, settings=self.settings, store=self.store))

    def _inputs(self, day: date) -> None:
        rows = [{"user_id": user, "segment_id": segment} for user, segment in USERS.items()]
        table = pa.Table.from_pylist(rows, schema=schemas.USER_SEGMENTS)
        write_partition(self.store, keys.USER_SEGMENTS, day, [table], schema=schemas.USER_SEGMENTS)


@cache
def _cover(seed: int) -> tuple[str, bytes]:
    data = encode_webp(picture(seed, 16), 90)
    return hashlib.sha256(data).hexdigest(), data


def _planned(item: int, seed: int) -> dict[str, Any]:
    row = {"segment_id": "_all", "item_id": f"i{item}", "variant": 0, "seed": seed, "request_hash": f"r{item}-{seed}"}
    return row | {"shard": 0, "kept_cover_id": None}


def _made(planned: dict[str, Any], seed: int, day: date) -> dict[str, Any]:
    name, _ = _cover(seed)
    row = {key: planned[key] for key in ("segment_id", "item_id", "variant", "seed", "request_hash")}
    row |= {"cover_id": name, "blob": keys.blob_key(name), "width": 16, "height": 16, "made_on": day.isoformat()}
    row |= {"generator": "icg", "adapter_version": "a", "preference_version": "p", "denoiser_version": "d"}
    return row | {"preference": 0.5, "relevance": 0.2, "aesthetic": 5.0, "rejected": None, "vector": [1.0, 0.0]}
