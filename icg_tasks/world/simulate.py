"""``icg simulate``: writes the raw data sets of the embedded world for the days ending with the run date.

raw/images holds every cover, raw/items a snapshot of the catalogue per day, raw/impressions the rows that ARRIVED that day. A
day comes out the same alone or in a window: it depends on the seed, its date, and the covers published before it. Does not know
how anything is learned.
"""

import io
from datetime import timedelta

import numpy as np
import pyarrow as pa
from PIL import Image

from icg_tasks.config.settings import WorldSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.partitions import IMAGES_RAW, IMPRESSIONS_RAW, ITEMS_RAW, partition_prefix
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS, RAW_ITEMS
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.lake.partitions import write_partition
from icg_tasks.stage import StageContext
from icg_tasks.world.arrivals import Arrivals
from icg_tasks.world.items import CATALOGUES, Shelf, shelf

MAX_DAYS = 400


def run(context: StageContext) -> StageOutcome:
    """Simulate ``--days`` days; raises SettingsError for a number of days outside 1 to 400."""
    num_days = int(context.arguments.get("days", 1))
    if not 1 <= num_days <= MAX_DAYS:
        raise SettingsError(f"--days is {num_days}; use 1 to {MAX_DAYS}")
    check_world(context.settings.world)
    days = [context.run_date - timedelta(days=back) for back in reversed(range(num_days))]
    arrivals = Arrivals(context.store, context.settings, context.say)
    images = rows = 0
    outputs = []
    for day in days:
        context.stop.check("the days before it are written")
        catalogue = shelf(context.settings.world, day)
        images += _write_images(context, catalogue)
        write_partition(context.store, ITEMS_RAW, day, [_items_table(catalogue)], schema=RAW_ITEMS)
        table, counts = arrivals.on(day)
        write_partition(context.store, IMPRESSIONS_RAW, day, [table], schema=RAW_IMPRESSIONS, metadata=counts)
        rows += table.num_rows
        outputs += [partition_prefix(ITEMS_RAW, day), partition_prefix(IMPRESSIONS_RAW, day)]
        context.say(
            f"{day}: {table.num_rows} impressions, click rate {counts['click_rate']:.3f}, {counts['covers_shown']} new covers"
        )
    return StageOutcome(
        outputs=outputs,
        counts={"days": len(days), "impressions": rows, "items": len(catalogue.items), "images_written": images},
        figures={"last_day": counts},
    )


def check_world(world: WorldSettings) -> None:
    """Raises SettingsError for sizes below 1, shares outside 0 to 1, or a catalogue that there is not."""
    if world.catalogue not in CATALOGUES:
        raise SettingsError(f"world.catalogue is {world.catalogue!r}; expected one of {', '.join(CATALOGUES)}")
    for name in ("num_items", "num_users", "impressions_per_day"):
        if getattr(world, name) < 1:
            raise SettingsError(f"world.{name} is {getattr(world, name)}; it must be at least 1")
    for name in ("late_share", "duplicate_share", "malformed_share", "exploration"):
        if not 0 <= getattr(world, name) <= 1:
            raise SettingsError(f"world.{name} is {getattr(world, name)}; it is a share, from 0 to 1")


def _items_table(catalogue: Shelf) -> pa.Table:
    items = catalogue.items
    return pa.table(
        {
            "item_id": [item.item_id for item in items],
            "title": [item.title for item in items],
            "reference_image": [item.image_name for item in items],
            "category": [item.category for item in items],
            "language": ["en"] * len(items),
            "updated_at": [f"{item.updated_on.isoformat()}T00:00:00.000Z" for item in items],
        },
        schema=RAW_ITEMS,
    )


def _write_images(context: StageContext, catalogue: Shelf) -> int:
    """Draw the covers that are not in the store yet; returns how many."""
    there = set(context.store.list(f"{IMAGES_RAW}/"))
    missing = [item for item in catalogue.items if f"{IMAGES_RAW}/{item.image_name}" not in there]
    for item in missing:
        sink = io.BytesIO()
        Image.fromarray(np.asarray(item.draw(context.settings.covers.size_pixels))).save(sink, format="PNG")
        context.store.put(f"{IMAGES_RAW}/{item.image_name}", sink.getvalue())
    return len(missing)
