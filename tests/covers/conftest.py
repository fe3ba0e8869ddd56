"""A store with what planning and publishing read: catalogue, item vectors, segments, users, champions; no model inside."""

import hashlib
import io
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from icg_tasks.config import load_settings
from icg_tasks.config.settings import BackboneSettings, Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.pseudonym import KEY_VARIABLE, pseudonym
from icg_tasks.covers.checks import encode_webp
from icg_tasks.covers.shards import write_shard
from icg_tasks.lake.partitions import read_partition, write_partition
from icg_tasks.lake.registry import publish_version, set_champion
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.stage import StageContext

DAY = date(2026, 3, 10)
NEXT = date(2026, 3, 11)
KEY = "a secret of tests only"
WIDTH = 8


@dataclass
class House:
    """The store, and ways to write what earlier stages would have written."""

    store: ObjectStore
    settings: Settings

    def context(self, stage: str, day: date = DAY, **arguments: Any) -> StageContext:
        return StageContext(stage=stage, run_date=day, settings=self.settings, store=self.store, arguments=arguments)

    def set(self, **covers: Any) -> None:
        self.settings = replace(self.settings, covers=replace(self.settings.covers, **covers))

    def items(self, day: date, contents: dict[str, str]) -> None:
        updated = datetime(2026, 3, 1, tzinfo=UTC)
        common = {"title": "The Lake", "category": "novel", "language": "en", "updated_at": updated}
        rows = []
        for item, content in sorted(contents.items()):
            key, data = f"raw/images/{item}.png", png(picture(len(rows), 64))
            self.store.put(key, data)
            row = {"item_id": item, "reference_image": key, "content_hash": content} | common
            rows.append(row | {"image_sha256": hashlib.sha256(data).hexdigest()})
        table = pa.Table.from_pylist(rows, schema=schemas.ITEMS)
        write_partition(self.store, keys.ITEMS, day, [table], schema=schemas.ITEMS)
        rows = [
            {"item_id": item, "content_hash": content, "encoder": "e", "vector": [0.5] * WIDTH}
            for item, content in sorted(contents.items())
        ]
        table = pa.Table.from_pylist(rows, schema=schemas.ITEM_FEATURES)
        write_partition(self.store, keys.ITEM_FEATURES, day, [table], schema=schemas.ITEM_FEATURES)

    def segments(self, day: date, centroids: dict[str, Any], top_items: list[str]) -> None:
        rows = [
            {"segment_id": name, "size": 60, "centroid": centroid, "history": [], "top_items": top_items, "rank": rank}
            | {"expected_traffic": 100.0 - rank}
            for rank, (name, centroid) in enumerate(centroids.items())
        ]
        table = pa.Table.from_pylist(rows, schema=schemas.SEGMENTS)
        write_partition(self.store, keys.SEGMENTS, day, [table], schema=schemas.SEGMENTS)

    def users(self, day: date, segment_of: dict[str, str]) -> None:
        rows = [{"user_id": pseudonym(user, KEY.encode()), "segment_id": segment} for user, segment in segment_of.items()]
        table = pa.Table.from_pylist(rows, schema=schemas.USER_SEGMENTS)
        write_partition(self.store, keys.USER_SEGMENTS, day, [table], schema=schemas.USER_SEGMENTS)

    def champion(self, kind: str, day: date, weights: bytes) -> str:
        version = publish_version(self.store, kind, {"model.safetensors": weights}, {"note": "test"})
        set_champion(self.store, version, day, reason="test")
        return version.version

    def plan(self, day: date = DAY) -> list[dict[str, Any]]:
        return read_partition(self.store, keys.COVER_PLANS, day).to_pylist()

    def fill_shards(self, day: date = DAY) -> list[dict[str, Any]]:
        """What generate-covers would leave: a picture of its own for every planned row."""
        plan = self.plan(day)
        made = []
        for shard in sorted({row["shard"] for row in plan if row["shard"] is not None}):
            planned = [row for row in plan if row["shard"] == shard]
            rows = [self.made_row(row, day) for row in planned]
            write_shard(self.store, day, shard, rows, planned)
            made += rows
        return made

    def made_row(self, planned: dict[str, Any], day: date) -> dict[str, Any]:
        data = encode_webp(picture(int(planned["request_hash"][:8], 16)), 90)
        name = hashlib.sha256(data).hexdigest()
        self.store.put(keys.blob_key(name), data)
        row = {key: planned[key] for key in ("segment_id", "item_id", "variant", "seed", "request_hash")}
        row |= {"cover_id": name, "blob": keys.blob_key(name), "width": 32, "height": 32, "made_on": day.isoformat()}
        row |= {"generator": "icg", "adapter_version": "a", "preference_version": "p", "denoiser_version": "d"}
        return row | {"preference": 0.5, "relevance": 0.2, "aesthetic": 5.0, "rejected": None, "vector": [1.0, 0.0]}


def picture(seed: int, side: int = 32) -> np.ndarray:
    """Noise enlarged: a sound image that differs from seed to seed."""
    small = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.NEAREST))


def png(image: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, format="PNG")
    return sink.getvalue()


def checkpoint(folder: Path, content: bytes) -> str:
    """A folder that counts as a checkpoint as long as nobody loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(content)
    return str(folder)


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Three segments, four items, two champions, ready to plan on DAY."""
    names = {name: checkpoint(tmp_path / "zoo" / name, name.encode()) for name in ("encoder", "language_model", "denoiser")}
    settings = replace(
        load_settings("tiny", [f"store={tmp_path / 'store'}", f"work_folder={tmp_path / 'work'}"]),
        backbones=BackboneSettings(**names, aesthetic="", warm_adapter=""),
    )
    settings = replace(settings, features=replace(settings.features, num_top_segments=2))
    house = House(store=open_store(settings.store), settings=settings)
    house.set(items_per_segment=3, shard_size=4, candidates=2, batch_size=8)
    fill_inputs(house, DAY)
    house.champion("adapter", DAY, b"one")
    house.champion("preference", DAY, b"one")
    return house


def fill_inputs(
    house: House, day: date, *, turn: float = 0.0, contents: dict[str, str] | None = None, width: int = WIDTH
) -> None:
    """The day's catalogue, segments and users; ``turn`` (radians) turns segment s0's centroid."""
    house.items(day, contents or {f"i{number}": f"content-{number}" for number in range(4)})
    first = np.zeros(width)
    first[:2] = np.cos(turn), np.sin(turn)
    centroids = {"s0": first, "s1": -first, "s2": np.full(width, 0.1)}
    house.segments(day, centroids, ["i2", "i0", "gone", "i1", "i3"])
    house.users(day, {"ann": "s0", "bob": "s1", "cyd": "s2"})
