"""A store to generate covers in: the shipped tiny stack, drawn items, random segments; no click was ever simulated.

The preference model is random: it chooses among nothing, since one candidate is drawn per cover.
"""

import hashlib
import io
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config import load_settings
from icg_tasks.config.settings import Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.registry import publish_version, set_champion
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.models.icg.adapter import KIND, IcgAdapter
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork
from icg_tasks.stage import StageContext
from icg_tasks.world import draw_cover, make_title, sample_attributes

DAY, NEXT = date(2026, 3, 10), date(2026, 3, 11)
USER_WIDTH = 256


def settings_for(folder: Path, segments: int, items: int, more: tuple[str, ...] = ()) -> Settings:
    """The embedded profile with one candidate per cover, in a store of its own."""
    words = [f"store={folder / 'store'}", f"work_folder={folder / 'work'}", f"features.num_top_segments={segments}"]
    words += [
        f"covers.items_per_segment={items}",
        "covers.candidates=1",
        "covers.max_relevance_loss=50",
        "backbones.device=cpu",
    ]
    return load_settings("tiny", [*words, *more])


def context_of(settings: Settings, stage: str, day: date = DAY, **arguments: Any) -> StageContext:
    """One run of one stage there."""
    return StageContext(stage=stage, run_date=day, settings=settings, store=open_store(settings.store), arguments=arguments)


def plant(settings: Settings, segments: int, items: int) -> None:
    """Catalogue, segments and champions of DAY."""
    store = open_store(settings.store)
    fill_day(store, DAY, segments, items)
    adapter = IcgAdapter.load(resolve_checkpoint(settings.backbones.warm_adapter))
    encoder = DualEncoder.load(resolve_checkpoint(settings.backbones.encoder))
    network = PreferenceNetwork(PreferenceConfig(width=USER_WIDTH // 2, rank=4, num_slots=1))
    preference = PreferenceModel(network=network, encoder=encoder.identity, score_mean=0.0, score_deviation=1.0)
    for kind, files in ((KIND, adapter.files()), ("preference", preference.files())):
        set_champion(store, publish_version(store, kind, files, {"note": "benchmark"}), DAY, reason="benchmark")


def fill_day(store: ObjectStore, day: date, segments: int, items: int, changed: int = 0) -> None:
    """A day's items (the first ``changed`` of them with another title than on DAY), their vectors, segments and users."""
    rng = np.random.default_rng(7)
    rows = []
    for number in range(items):
        one = sample_attributes(rng)
        sink = io.BytesIO()
        Image.fromarray(draw_cover(one, number)).save(sink, format="PNG")
        title = make_title(one.subject, "calm", rng) + (" again" if number < changed else "")
        key = f"{keys.IMAGES_RAW}/{number}.png"
        store.put(key, sink.getvalue())
        digest = hashlib.sha256(sink.getvalue()).hexdigest()
        row: dict[str, Any] = {
            "item_id": f"i{number:04d}",
            "title": title,
            "reference_image": key,
            "category": "novel",
            "language": "en",
        }
        row |= {"updated_at": datetime(2026, 3, 1, tzinfo=UTC), "image_sha256": digest}
        rows.append(row | {"content_hash": hashlib.sha256(f"{title}{digest}".encode()).hexdigest()})
    _write(store, keys.ITEMS, day, rows, schemas.ITEMS)
    vectors = [
        {"item_id": row["item_id"], "content_hash": row["content_hash"], "encoder": "e", "vector": [0.0]} for row in rows
    ]
    _write(store, keys.ITEM_FEATURES, day, vectors, schemas.ITEM_FEATURES)
    centroids = rng.normal(0, 0.1, (segments, USER_WIDTH)).astype(np.float32)
    names = [row["item_id"] for row in rows]
    people = [
        {"segment_id": f"s{number:03d}", "size": 100, "centroid": centroid.tolist(), "history": [], "top_items": names}
        | {"expected_traffic": 1000.0 / (number + 1), "rank": number}
        for number, centroid in enumerate(centroids)
    ]
    _write(store, keys.SEGMENTS, day, people, schemas.SEGMENTS)
    users = [{"user_id": f"{number:032x}", "segment_id": f"s{number % segments:03d}"} for number in range(segments)]
    _write(store, keys.USER_SEGMENTS, day, users, schemas.USER_SEGMENTS)


def with_settings(settings: Settings, **generation: Any) -> Settings:
    """The same with other settings of section generation; ``precision`` is the backbones'."""
    backbones = settings.backbones
    if "precision" in generation:
        backbones = replace(backbones, precision=generation.pop("precision"))
    covers = replace(settings.covers, batch_size=max(settings.covers.batch_size, generation.get("cpu_batch_size", 1)))
    return replace(settings, backbones=backbones, covers=covers, generation=replace(settings.generation, **generation))


def _write(store: ObjectStore, dataset: str, day: date, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    write_partition(store, dataset, day, [pa.Table.from_pylist(rows, schema=schema)], schema=schema)
