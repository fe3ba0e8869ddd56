"""A small store with a day's items, vectors, segments, users and a preference model, on the shipped tiny stack."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config import load_settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.stages import TRAIN_ADAPTER
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.registry import publish_version, set_champion
from icg_tasks.lake.store import open_store
from icg_tasks.models.preference.model import KIND, PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork
from icg_tasks.stage import StageContext
from icg_tasks.world import draw_cover, make_title, sample_attributes

DAY = date(2026, 3, 10)
NUM_ITEMS = 30
QUICK = (
    "backbones.precision=float32",
    "backbones.device=cpu",
    "adapter.batch_size=4",
    "adapter.search_tastes=0",
    "adapter.reward_steps=3",
    "adapter.evaluate_every=2",
    "adapter.checkpoint_every=1",
    "adapter.reward_gradient_steps=1",
)


def opened(folder: Path, *overrides: str) -> StageContext:
    """The context of what was planted in a folder before."""
    settings = load_settings("tiny", [f"store={folder / 'store'}", f"work_folder={folder / 'work'}", *QUICK, *overrides])
    return StageContext(stage=TRAIN_ADAPTER, run_date=DAY, settings=settings, store=open_store(settings.store))


def plant(folder: Path, *overrides: str, truncated: bool = False) -> StageContext:
    """Write everything that train-adapter reads for DAY."""
    context = opened(folder, *overrides)
    store = context.store
    rng = np.random.default_rng(3)
    encoder = DualEncoder.load(resolve_checkpoint("zoo:dual_encoder"))
    attributes = [sample_attributes(rng) for _ in range(NUM_ITEMS)]
    titles = [make_title(one.subject, "calm", rng) for one in attributes]
    images = [draw_cover(one, number) for number, one in enumerate(attributes)]
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
        vectors = torch.cat([encoder.embed_images(pixels), encoder.embed_texts(titles)], dim=1).numpy()
    items, features = [], []
    for number, title in enumerate(titles):
        sink = io.BytesIO()
        Image.fromarray(images[number]).save(sink, "PNG")
        store.put(f"raw/images/{number}.png", sink.getvalue()[: 150 if truncated and number == 0 else None])
        items.append(
            {"item_id": f"i{number}", "title": title, "reference_image": f"raw/images/{number}.png", "category": "c",
             "language": "en", "updated_at": datetime(2026, 3, 1, tzinfo=UTC), "image_sha256": "0", "content_hash": "0"}
        )  # fmt: skip
        features.append(
            {"item_id": f"i{number}", "content_hash": "0", "encoder": encoder.identity, "vector": vectors[number].tolist()}
        )
    write(store, keys.ITEMS, items, schemas.ITEMS)
    write(store, keys.ITEM_FEATURES, features, schemas.ITEM_FEATURES)
    tastes = vectors[[1, 5, 9]] - vectors.mean(axis=0)
    segments = [
        {"segment_id": f"s{row}", "size": 60, "centroid": taste.tolist(), "history": [], "top_items": ["i1"],
         "expected_traffic": float(9 - row), "rank": row, "matched_from": None, "drift": None}
        for row, taste in enumerate(tastes)
    ]  # fmt: skip
    write(store, keys.SEGMENTS, segments, schemas.SEGMENTS)
    users = [
        {"user_id": f"{row:032x}", "vector": (tastes[row % 3] + rng.normal(0, 0.05, 256)).astype(np.float32).tolist(),
         "weight": 2.0 if row else 0.0, "impressions": 9, "clicks": 2}
        for row in range(12)
    ]  # fmt: skip
    write(store, keys.USERS, users, schemas.USERS)
    network = PreferenceNetwork(PreferenceConfig(width=128, rank=24, num_slots=3))
    centred = vectors - vectors.mean(axis=0)
    directions = torch.from_numpy(np.linalg.svd(centred, full_matrices=False)[2][:24] * 1.4)
    with torch.no_grad():
        network.cover_mean.copy_(torch.from_numpy(vectors.mean(axis=0)))
        network.user_map.copy_(directions)
        network.cover_map.copy_(directions)
        network.bias.fill_(-1.4)
    model = PreferenceModel(
        network=network.eval().requires_grad_(False), encoder=encoder.identity, score_mean=-1.4, score_deviation=0.6
    )
    set_champion(store, publish_version(store, KIND, model.files(), {}), DAY, reason="planted")
    return context


def write(store, dataset, rows, schema) -> None:
    write_partition(store, dataset, DAY, [pa.Table.from_pylist(rows, schema=schema)], schema=schema)


def again(context: StageContext, **changes: object) -> StageContext:
    """The same day for another run."""
    return replace(context, **changes)
