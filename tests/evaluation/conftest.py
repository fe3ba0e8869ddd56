"""A day of a small world as the earlier stages would leave it: items, segments (true archetypes), published covers."""

import hashlib
import io
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from icg_tasks.config import Settings, load_settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.pseudonym import pseudonym, pseudonym_key
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.stage import StageContext
from icg_tasks.world.attributes import CoverAttributes, all_looks
from icg_tasks.world.days import cast_of
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.readers import LOOK_GROUPS, reader_name

DAY = date(2026, 3, 10)
SMALL = (
    "world.num_users=300",
    "world.num_items=40",
    "world.impressions_per_day=3000",
    "evaluation.num_segments=3",
    "evaluation.items_per_segment=4",
    "evaluation.bootstrap_samples=100",
    "evaluation.best_of=2",
    "evaluation.catalogue_covers=256",
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICG_PSEUDONYM_KEY", "a key of tests, long enough")


@pytest.fixture
def day() -> date:
    return DAY


@pytest.fixture(scope="session")
def catalogue_seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the eye saw in catalogue covers; the same in every test, so it is looked at once."""
    return tmp_path_factory.mktemp("catalogue_seen")


@pytest.fixture
def settings(tmp_path: Path, catalogue_seen: Path) -> Settings:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "catalogue_seen").symlink_to(catalogue_seen)
    return load_settings("tiny", [*SMALL, f"work_folder={tmp_path / 'work'}"])


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def context(store: ObjectStore, settings: Settings) -> Callable[..., StageContext]:
    def made(stage: str = "report", chosen: Settings = settings) -> StageContext:
        return StageContext(stage=stage, run_date=DAY, settings=chosen, store=store)

    return made


@pytest.fixture
def lived_day(store: ObjectStore, settings: Settings) -> dict[str, Any]:
    """Items, segments and users of the day, in the store and returned."""
    return write_day(store, settings)


def write_day(store: ObjectStore, settings: Settings, num_segments: int = 3) -> dict[str, Any]:
    cast, secret = cast_of(settings.world, DAY), pseudonym_key()
    items = cast.shelf.items
    for item in items:
        store.put(f"{keys.IMAGES_RAW}/{item.image_name}", png(item.draw()))
    rows = [
        {
            "item_id": item.item_id,
            "title": item.title,
            "reference_image": f"{keys.IMAGES_RAW}/{item.image_name}",
            "category": item.category,
            "language": "en",
            "updated_at": None,
            "image_sha256": "",
            "content_hash": item.item_id,
        }
        for item in items
    ]
    _write(
        store, keys.ITEMS, rows, schemas.ITEMS, {"raw_rows": len(rows), "provenance": {"attribution": "By courtesy of nobody."}}
    )
    users = [pseudonym(reader_name(cast.readers.first + row), secret) for row in range(len(cast.readers))]
    segment_of = [f"s{kind:02d}" if kind < num_segments else None for kind in cast.readers.archetype_U.tolist()]
    pairs = [{"user_id": user, "segment_id": name} for user, name in zip(users, segment_of, strict=True) if name]
    _write(store, keys.USER_SEGMENTS, sorted(pairs, key=lambda pair: pair["user_id"]), schemas.USER_SEGMENTS)
    segments = [
        {
            "segment_id": f"s{number:02d}",
            "size": segment_of.count(f"s{number:02d}"),
            "centroid": [0.0] * 4,
            "history": [item.item_id for item in items[number : number + 8]],
            "top_items": [item.item_id for item in items[-12:]],
            "expected_traffic": 1000.0 - number,
            "rank": number,
            "matched_from": None if number else "s00",
            "drift": None if number else 0.0125,
        }
        for number in range(num_segments)
    ]
    _write(store, keys.SEGMENTS, segments, schemas.SEGMENTS)
    return {"items": items, "cast": cast, "users": users, "segment_of": segment_of, "segments": segments}


def publish(store: ObjectStore, settings: Settings, lived: dict[str, Any], num_items: int = 10) -> list[dict[str, Any]]:
    """Covers of the last items: everybody's in one look, each segment's in the look its users like best."""
    cast, looks, rows = lived["cast"], all_looks(), []
    for name in ["_all", *(row["segment_id"] for row in lived["segments"])]:
        best = looks[0] if name == "_all" else looks[best_look(lived, name)]
        for item in lived["items"][-num_items:]:
            attributes = CoverAttributes(subject=item.attributes.subject, look=best)
            data = png(draw_cover(attributes, seed=3))
            cover_id = hashlib.sha256(data).hexdigest()
            store.put(keys.blob_key(cover_id), data)
            rows.append(
                {
                    **dict.fromkeys(schemas.COVER_MANIFEST.names, ""),
                    "segment_id": name,
                    "item_id": item.item_id,
                    "variant": 0,
                    "cover_id": cover_id,
                    "blob": keys.blob_key(cover_id),
                    "seed": 1,
                    **dict.fromkeys(("preference", "relevance", "aesthetic"), 0.5),
                    "width": 64,
                    "height": 64,
                }
            )
    assert cast.shelf.num_shown >= num_items
    _write(store, keys.COVER_MANIFESTS, rows, schemas.COVER_MANIFEST)
    return rows


def best_look(lived: dict[str, Any], segment_id: str) -> int:
    """Index into all_looks() of what a segment's users like best on average."""
    members = [row for row, name in enumerate(lived["segment_of"]) if name == segment_id]
    taste, start, chosen = lived["cast"].readers.look_UL[members].mean(axis=0), 0, []
    for size, _ in LOOK_GROUPS:
        chosen.append(int(taste[start : start + size].argmax()))
        start += size
    return int(np.ravel_multi_index(tuple(chosen), tuple(size for size, _ in LOOK_GROUPS)))


def png(image: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(sink, format="PNG")
    return sink.getvalue()


def put_json(store: ObjectStore, key: str, body: Any) -> None:
    store.put(key, json.dumps(body).encode())


def _write(store: ObjectStore, dataset: str, rows: list[dict[str, Any]], schema: pa.Schema, metadata: Any = None) -> None:
    write_partition(store, dataset, DAY, [pa.Table.from_pylist(rows, schema=schema)], schema=schema, metadata=metadata)
