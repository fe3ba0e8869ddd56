"""Stage ingest: outside data to the raw data sets of a window of days ending with the run date.

Run: ``icg ingest classics --run-date 2026-03-10 --path FOLDER``; then the day's stages run on it as on any other. A source is
one file below ``sources/`` and one line in SOURCES. Rows are written part by part and covers one by one, and what is done is
noted down: a run that was stopped or killed goes on from there. Does not judge rows: validation does.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import IcgError, SettingsError
from icg_tasks.contracts.partitions import IMAGES_RAW, IMPRESSIONS_RAW, ITEMS_RAW, checked_key, partition_prefix
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS, RAW_ITEMS
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.progress import Progress
from icg_tasks.intake.sources.classics import read_classics
from icg_tasks.intake.sources.movielens import read_movielens
from icg_tasks.intake.sources.outside import Bench, OutsideData
from icg_tasks.intake.sources.pigeon import read_pigeon
from icg_tasks.intake.sources.pixelrec import read_pixelrec
from icg_tasks.lake.partitions import (
    PartitionFile,
    find_partition,
    finish_partition,
    list_partition_dates,
    write_partition,
    write_partition_part,
)
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext

SOURCES: dict[str, Callable[[Path, date, Settings, Bench], OutsideData]] = {
    "classics": read_classics,
    "movielens": read_movielens,
    "pigeon": read_pigeon,
    "pixelrec": read_pixelrec,
}
_NOTE_EVERY = 200  # covers


def run(context: StageContext) -> StageOutcome:
    """Write raw/images, raw/items and raw/impressions; raises SettingsError (unknown source), DataMissing, DataCorrupt."""
    name = str(context.arguments["source"])
    if name not in SOURCES:
        raise SettingsError(f"unknown source {name!r}; there are: {', '.join(sorted(SOURCES))}")
    bench = Bench(scratch=context.scratch(name), progress=lambda what, total: Progress(what=what, total=total, say=context.say))
    data = SOURCES[name](Path(str(context.arguments["path"])), context.run_date, context.settings, bench)
    context.say(data.attribution)
    _refuse_other_data(context, data)
    done = _Done(bench.scratch / "done.json", context.store, data)
    images = _copy_images(context, data, done, bench)
    rows = _write_days(context, data, done, bench)
    shutil.rmtree(bench.scratch, ignore_errors=True)
    context.say(
        f"{name}: {len(data.days)} days, {rows} rows, " + ", ".join(f"{count} {what}" for what, count in data.counts.items())
    )
    return StageOutcome(
        outputs=[partition_prefix(dataset, day) for day in data.days for dataset in (ITEMS_RAW, IMPRESSIONS_RAW)],
        counts={"days": len(data.days), "rows": rows, "images": images, **data.counts},
        figures={"attribution": data.attribution, "provenance": dict(data.provenance)},
    )


class _Done:
    """What of this very data is in this very store already; kept in a file beside the work."""

    def __init__(self, path: Path, store: ObjectStore, data: OutsideData) -> None:
        self._path = path
        told = json.dumps([store.uri, dict(data.provenance)], sort_keys=True)
        self._identity = hashlib.sha256(told.encode()).hexdigest()
        body = json.loads(path.read_text()) if path.is_file() else {}
        files = [file["key"] for part in body.get("parts", []) for file in part.values()]
        mine = body if body.get("identity") == self._identity and all(map(store.exists, files)) else {}
        self.images: int = mine.get("images", 0)
        self.parts: list[dict[str, dict[str, Any]]] = mine.get("parts", [])

    def note(self) -> None:
        """Write it down, whole or not at all."""
        partial_path = self._path.with_suffix(".partial")
        partial_path.write_text(json.dumps({"identity": self._identity, "images": self.images, "parts": self.parts}))
        partial_path.replace(self._path)


def _write_days(context: StageContext, data: OutsideData, done: _Done, bench: Bench) -> int:
    """Every part's rows of every day, then the manifests; returns rows."""
    progress = bench.progress("impressions", len(data.parts))
    progress.add(len(done.parts))
    for number in range(len(done.parts), len(data.parts)):
        context.stop.check(f"{number} of {len(data.parts)} parts are written")
        files = {
            day.isoformat(): asdict(
                write_partition_part(context.store, IMPRESSIONS_RAW, day, number, table, schema=RAW_IMPRESSIONS)
            )
            for day, table in data.parts[number]().items()
        }
        done.parts.append(files)
        done.note()
        progress.add(1)
    progress.end()
    metadata = {"provenance": dict(data.provenance)}
    rows = 0
    for day in data.days:
        written = [PartitionFile(**part[day.isoformat()]) for part in done.parts]
        kept = [file for file in written if file.rows] or written[:1]
        rows += sum(file.rows for file in kept)
        write_partition(context.store, ITEMS_RAW, day, [data.items], schema=RAW_ITEMS, metadata=metadata)
        finish_partition(context.store, IMPRESSIONS_RAW, day, kept, metadata=metadata)
    return rows


def _copy_images(context: StageContext, data: OutsideData, done: _Done, bench: Bench) -> int:
    """Copy images whose key is safe and whose size is within bounds; returns how many there are now."""
    limit = context.settings.intake.max_image_bytes
    progress = bench.progress("covers", len(data.images))
    copied = 0
    for place, (key, path) in enumerate(sorted(data.images.items())):
        if path.stat().st_size > limit:
            context.say(f"{path} is larger than intake.max_image_bytes={limit}; left out, its item goes to quarantine")
            continue
        copied += 1
        if place < done.images:
            continue
        context.store.put(checked_key(f"{IMAGES_RAW}/{key}"), path.read_bytes())
        progress.add(place + 1 - progress.done)
        if (place + 1) % _NOTE_EVERY == 0:
            done.images = place + 1
            done.note()
            context.stop.check(f"{place + 1} of {len(data.images)} covers are copied")
    done.images = len(data.images)
    done.note()
    progress.end()
    return copied


def _refuse_other_data(context: StageContext, data: OutsideData) -> None:
    """The window is laid out as a whole, so a store holds one ingest; mixing two would count events twice."""
    for day in list_partition_dates(context.store, IMPRESSIONS_RAW):
        found = find_partition(context.store, IMPRESSIONS_RAW, day)
        if found is not None and found.metadata.get("provenance") != dict(data.provenance):
            raise IcgError(
                f"{context.store.uri} already holds raw impressions of {day} from other data, another window or other "
                "settings; ingest the same run date again, or give a fresh store (--set store=FOLDER)"
            )
