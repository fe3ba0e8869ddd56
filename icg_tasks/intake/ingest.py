"""Stage ingest: outside data to the raw data sets of a window of days ending with the run date.

Run: ``icg ingest classics --run-date 2026-03-10 --path FOLDER``; then the day's stages run on it as on any other. A source is
one file below ``sources/`` and one line in SOURCES. Does not judge rows: validation does.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import IcgError, SettingsError
from icg_tasks.contracts.partitions import IMAGES_RAW, IMPRESSIONS_RAW, ITEMS_RAW, checked_key, partition_prefix
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS, RAW_ITEMS
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.sources.classics import read_classics
from icg_tasks.intake.sources.outside import OutsideData
from icg_tasks.intake.sources.pigeon import read_pigeon
from icg_tasks.lake.partitions import find_partition, list_partition_dates, write_partition
from icg_tasks.stage import StageContext

SOURCES: dict[str, Callable[[Path, date, Settings], OutsideData]] = {
    "classics": read_classics,
    "pigeon": read_pigeon,
}


def run(context: StageContext) -> StageOutcome:
    """Write raw/images, raw/items and raw/impressions; raises SettingsError (unknown source), DataMissing, DataCorrupt."""
    name = str(context.arguments["source"])
    if name not in SOURCES:
        raise SettingsError(f"unknown source {name!r}; there are: {', '.join(sorted(SOURCES))}")
    data = SOURCES[name](Path(str(context.arguments["path"])), context.run_date, context.settings)
    context.say(data.attribution)
    _refuse_other_data(context, data)
    images = _copy_images(context, data)
    metadata = {"provenance": dict(data.provenance)}
    for day in sorted(data.impressions):
        context.stop.check("the days before it are written")
        write_partition(context.store, ITEMS_RAW, day, [data.items], schema=RAW_ITEMS, metadata=metadata)
        write_partition(context.store, IMPRESSIONS_RAW, day, [data.impressions[day]], schema=RAW_IMPRESSIONS, metadata=metadata)
    context.say(f"{name}: {len(data.impressions)} days, " + ", ".join(f"{count} {what}" for what, count in data.counts.items()))
    return StageOutcome(
        outputs=[
            partition_prefix(dataset, day) for day in sorted(data.impressions) for dataset in (ITEMS_RAW, IMPRESSIONS_RAW)
        ],
        counts={"days": len(data.impressions), "images": images, **data.counts},
        figures={"attribution": data.attribution, "provenance": dict(data.provenance)},
    )


def _copy_images(context: StageContext, data: OutsideData) -> int:
    """Copy images whose key is safe and whose size is within bounds; returns how many."""
    limit = context.settings.intake.max_image_bytes
    copied = 0
    for key, path in sorted(data.images.items()):
        if path.stat().st_size > limit:
            context.say(f"{path} is larger than intake.max_image_bytes={limit}; left out, its item goes to quarantine")
            continue
        context.store.put(checked_key(f"{IMAGES_RAW}/{key}"), path.read_bytes())
        copied += 1
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
