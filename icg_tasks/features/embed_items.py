"""Stage embed-items: every item of the day's catalogue as one vector, its reference image's and its title's unit embeddings.

Only items that are new or changed since an earlier partition of the same encoder are computed; an image that cannot be read
costs that item alone. Knows the catalogue and the encoder; no user, no click. Run: ``icg embed-items --run-date YYYY-MM-DD``.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from icg_tasks.backbones.checkpoint import checkpoint_folder, checkpoint_identity
from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.images import decode_image
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.backbones.onnx_session import OnnxEncoder, open_onnx_encoder
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, GateRefused
from icg_tasks.contracts.partitions import ITEM_FEATURES, ITEMS, checked_key, partition_prefix
from icg_tasks.contracts.schemas import ITEM_FEATURES as SCHEMA
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.lake.partitions import find_partition, latest_partition_before, parquet_bytes, read_partition, write_partition
from icg_tasks.stage import StageContext

_CHUNK = 256
_PARITY_SAMPLES = 8
_REPORTED = 5
_READERS = 4

Row = dict[str, Any]
Key = tuple[str, str]


@dataclass
class _Unreadable:
    """How many images could not be read, and the first few reasons."""

    count: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, item_id: str, error: Exception) -> None:
        self.count += 1
        if len(self.reasons) < _REPORTED:
            self.reasons.append(f"{item_id}: {error}")


def run(context: StageContext) -> StageOutcome:
    """Embed the new and changed items; write features/items of the run date."""
    columns = ["item_id", "title", "reference_image", "content_hash"]
    items: list[Row] = read_partition(context.store, ITEMS, context.run_date, columns).to_pylist()
    folder = checkpoint_folder(resolve_checkpoint(context.settings.backbones.encoder))
    identity = checkpoint_identity(folder)
    rows = _known_rows(context, identity, {(item["item_id"], item["content_hash"]) for item in items})
    new = sorted(
        (item for item in items if (item["item_id"], item["content_hash"]) not in rows), key=lambda item: str(item["item_id"])
    )
    context.say(f"{len(items)} items, {len(rows)} known to encoder {identity}, {len(new)} to embed")
    unreadable = _Unreadable()
    figures: dict[str, Any] = {"encoder": identity, "provider": "none needed"}
    if new:
        figures |= _embed_new(context, folder, new, rows, unreadable)
    if not rows:
        raise GateRefused(f"not one of {len(items)} items could be embedded ({'; '.join(unreadable.reasons) or 'no items'})")
    table = pa.Table.from_pylist([rows[key] for key in sorted(rows)], schema=SCHEMA)
    width = len(rows[min(rows)]["vector"])
    written = write_partition(
        context.store, ITEM_FEATURES, context.run_date, [table], schema=SCHEMA, metadata={"encoder": identity, "width": width}
    )
    shutil.rmtree(_saved_folder(context), ignore_errors=True)
    figures |= {"width": width, "unreadable_examples": unreadable.reasons}
    counts = {"items": len(items), "embedded": len(new) - unreadable.count, "unreadable_images": unreadable.count}
    counts |= {"reused": len(rows) - counts["embedded"], "rows": written.rows}
    return StageOutcome(outputs=[partition_prefix(ITEM_FEATURES, context.run_date)], counts=counts, figures=figures)


def _known_rows(context: StageContext, identity: str, wanted: set[Key]) -> dict[Key, Row]:
    """Rows of the latest earlier partition, the date's own, and an interrupted run's, where item, content and encoder agree."""
    days = [latest_partition_before(context.store, ITEM_FEATURES, context.run_date), context.run_date]
    tables = [_same_encoder(context, day, identity) for day in days if day is not None]
    tables += [pq.read_table(path, schema=SCHEMA) for path in sorted(_saved_folder(context).glob("*.parquet"))]
    known: dict[Key, Row] = {}
    for table in tables:
        for row in table.to_pylist():
            key = (row["item_id"], row["content_hash"])
            if key in wanted and row["encoder"] == identity:
                known.setdefault(key, row)
    return known


def _same_encoder(context: StageContext, day: date, identity: str) -> pa.Table:
    partition = find_partition(context.store, ITEM_FEATURES, day)
    if partition is None or partition.metadata.get("encoder") != identity:
        return SCHEMA.empty_table()
    return read_partition(context.store, ITEM_FEATURES, day)


def _embed_new(
    context: StageContext, folder: Path, new: list[Row], rows: dict[Key, Row], unreadable: _Unreadable
) -> dict[str, Any]:
    """Embed chunk by chunk into ``rows``; each chunk is saved, so a stopped run goes on from there."""
    backbones = context.settings.backbones
    encoder = DualEncoder.load(str(folder))
    cache = Path(context.settings.work_folder) / "onnx"
    session = open_onnx_encoder(encoder, cache, device=backbones.device)
    context.say(f"encoder runs under {session.provider}")
    worst: float | None = None
    for number, chunk in enumerate(_chunks(new)):
        kept, values = _readable(context, encoder, chunk, unreadable)
        if not kept:
            continue
        if worst is None:
            samples = slice(0, _PARITY_SAMPLES)
            worst = session.parity(encoder, values[samples], [str(item["title"]) for item in kept[samples]])
        embedded = _vectors(encoder, session, kept, values)
        rows |= embedded
        _save(context, f"{encoder.identity}-{kept[0]['content_hash'][:16]}", list(embedded.values()))
        context.say(f"embedded {min((number + 1) * _CHUNK, len(new))} of {len(new)}")
        context.stop.check(f"{len(rows)} item vectors are kept")
    return {"provider": session.provider, "max_abs_difference": worst}


def _vectors(encoder: DualEncoder, session: OnnxEncoder, items: list[Row], values: Tensor) -> dict[Key, Row]:
    image_NE = session.embed_pixel_values(values.numpy())
    title_NE = session.embed_token_ids(encoder.tokenize([str(item["title"]) for item in items]).numpy())
    vectors_NV = np.concatenate([image_NE, title_NE], axis=1)
    if not np.isfinite(vectors_NV).all():
        raise DataCorrupt(f"encoder {encoder.identity} gave vectors that are not finite; its weights are damaged")
    return {
        (item["item_id"], item["content_hash"]): {
            "item_id": item["item_id"],
            "content_hash": item["content_hash"],
            "encoder": encoder.identity,
            "vector": vector,
        }
        for item, vector in zip(items, vectors_NV, strict=True)
    }


def _readable(
    context: StageContext, encoder: DualEncoder, chunk: list[Row], unreadable: _Unreadable
) -> tuple[list[Row], Tensor]:
    """The items of a chunk whose image can be read, and their pixel values."""
    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(lambda item: _pixel_values(context, encoder, str(item["reference_image"])), chunk))
    kept, values = [], []
    for item, value in zip(chunk, found, strict=True):
        if isinstance(value, Tensor):
            kept.append(item)
            values.append(value)
        else:
            unreadable.add(str(item["item_id"]), value)
    return kept, torch.cat(values) if values else torch.zeros(0)


def _pixel_values(context: StageContext, encoder: DualEncoder, key: str) -> Tensor | DataCorrupt | DataMissing:
    limits = context.settings.intake
    try:
        size = context.store.size(checked_key(key))
        if size > limits.max_image_bytes:
            raise DataCorrupt(f"image of {size} bytes, at most {limits.max_image_bytes} are read")
        image = decode_image(context.store.get(key), max_bytes=limits.max_image_bytes, max_pixels=limits.max_image_pixels)
        return encoder.preprocess_pil([image])
    except (DataCorrupt, DataMissing) as error:
        return error


def _chunks(items: list[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _saved_folder(context: StageContext) -> Path:
    return context.scratch("vectors")


def _save(context: StageContext, name: str, rows: list[Row]) -> None:
    path = _saved_folder(context) / f"{name}.parquet"
    partial = path.with_suffix(".partial")
    partial.write_bytes(parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMA)))
    partial.replace(path)
