"""``icg covers verify FILE``: whether an image file is a cover of ours, what it says of its origin, and how it was made.

Looks at the bytes first (bounds, format, pixels, XMP, C2PA), then for its hash in the published manifests, newest first.
Knows no model.
"""

import hashlib
import io
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from PIL import Image, UnidentifiedImageError

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.covers.checks import MAX_BLOB_BYTES, MAX_SIDE
from icg_tasks.covers.provenance import AI_GENERATED, digital_source_type, read_signature
from icg_tasks.covers.riff import is_webp, without_signature
from icg_tasks.lake.partitions import list_partition_dates, read_partition
from icg_tasks.lake.store import ObjectStore

Answer = dict[str, Any]


def verify_file(path: Path, store: ObjectStore) -> Answer:
    """What is known of a file. ``genuine``: it is, byte for byte but for its signature, a cover that a manifest here names, it
    says that it is AI-generated, and its signature (if it has one and it can be checked) holds.

    Raises:
        DataMissing: no such file.
        DataCorrupt: too large, no WebP image, or an unreadable signature.
    """
    if not path.is_file():
        raise DataMissing(f"no file {path}")
    size = path.stat().st_size
    if size > MAX_BLOB_BYTES:
        raise DataCorrupt(f"{path} has {size} bytes; covers have at most {MAX_BLOB_BYTES}")
    data = path.read_bytes()
    width, height = _decoded(path, data)
    cover_id = hashlib.sha256(without_signature(data)).hexdigest()
    signature = read_signature(data)
    source = digital_source_type(data)
    rows, day = _published(store, cover_id)
    signed_well = signature.state is None or signature.state in {"Valid", "Trusted"}
    return {
        "file": str(path),
        "cover_id": cover_id,
        "width": width,
        "height": height,
        "digital_source_type": source,
        "says_ai_generated": source == AI_GENERATED,
        "signature": vars(signature) | {"problems": list(signature.problems)},
        "published": day.isoformat() if day else None,
        "manifest_rows": rows,
        "genuine": bool(rows) and source == AI_GENERATED and signed_well,
    }


def _decoded(path: Path, data: bytes) -> tuple[int, int]:
    if not is_webp(data):
        raise DataCorrupt(f"{path} is no WebP file; covers are")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound below is ours and stricter
            with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
                if max(image.size) > MAX_SIDE:
                    raise DataCorrupt(f"{path}: {image.width} x {image.height} pixels; covers have at most {MAX_SIDE} a side")
                image.load()
                return image.size
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataCorrupt(f"{path} does not decode: {error}") from error


def _published(store: ObjectStore, cover_id: str) -> tuple[list[Answer], date | None]:
    """Rows of the newest manifest that names a cover, and its date."""
    for day in reversed(list_partition_dates(store, keys.COVER_MANIFESTS)):
        table = read_partition(store, keys.COVER_MANIFESTS, day)
        rows = table.filter(pc.equal(table["cover_id"], cover_id)).to_pylist()
        if rows:
            return rows, day
    return [], None
