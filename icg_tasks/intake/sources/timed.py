"""A source of timed events put together: what MovieLens and PixelRec share once their files are read."""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from icg_tasks.config.settings import Settings
from icg_tasks.intake.sources.catalogue import Listed, Pictures
from icg_tasks.intake.sources.laid_out import SEED, file_sha256
from icg_tasks.intake.sources.outside import Bench, OutsideData
from icg_tasks.intake.sources.streamed import METHOD, Batches, Events, lay_out, parts_of


def timed_data(
    source: str,
    settings: Settings,
    bench: Bench,
    *,
    days: Sequence[date],
    read: Batches,
    files: Sequence[Path],
    listed: Sequence[Listed],
    items: pa.Table,
    images: Pictures,
    attribution: str,
    user_name: Callable[[Any], str],
    item_name: Callable[[Any], str],
) -> OutsideData:
    """Days, parts and provenance of events on the ``listed`` items; raises DataCorrupt where none is left."""
    names = sorted(item.name for item in listed)
    said = _provenance(source, settings, days, files, names, attribution)
    events = Events(
        source=source,
        read=read,
        items=names,
        user_share=settings.intake.user_share,
        ratio=settings.intake.non_clicks_per_click,
        scratch=bench.scratch,
        fingerprint=hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest(),
    )
    laid = lay_out(events)
    counts = {"items": len(names), "events": laid.total, "events_left_out": laid.left_out}
    return OutsideData(
        items=items,
        days=days,
        parts=parts_of(events, laid, days, user_name, item_name),
        images={images.key(name): images.files[name] for name in names},
        provenance=said | {"counts": counts},
        attribution=attribution,
        counts=counts,
    )


def _provenance(
    source: str, settings: Settings, days: Sequence[date], files: Sequence[Path], names: Sequence[str], attribution: str
) -> dict[str, Any]:
    """Everything that the rows follow from."""
    return {
        "source": source,
        "first_day": days[0].isoformat(),
        "last_day": days[-1].isoformat(),
        "files_sha256": {path.name: file_sha256(path) for path in files},
        "seed": SEED,
        "non_clicks_per_click": settings.intake.non_clicks_per_click,
        "user_share": settings.intake.user_share,
        "items_sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        "method": METHOD,
        "attribution": attribution,
    }
