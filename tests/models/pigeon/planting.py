"""A small store with a day's items and a week's clicks, and a tiny random Janus: what train-pigeon reads."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from icg_tasks.config import load_settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.stages import TRAIN_PIGEON
from icg_tasks.lake.partitions import write_partition
from icg_tasks.stage import StageContext
from tests.backbones.tokens.tiny import TINY_TOKENS
from tests.models.icg import planting

DAY = planting.DAY
NUM_USERS = 40
QUICK = (
    "backbones.precision=float32",
    "backbones.device=cpu",
    "pigeon.reconstruction_steps=3",
    "pigeon.reconstruction_learning_rate=0.01",
    "pigeon.preference_steps=2",
    "pigeon.preference_learning_rate=0.01",
    "pigeon.pair_windows=3",
    "pigeon.pair_min_margin=0.0",
    "pigeon.ratios=3",
    "pigeon.batch_size=2",
    "pigeon.evaluate_every=2",
    "pigeon.check_windows=3",
    "pigeon.checkpoint_every=1",
    "pigeon.max_windows=32",
)


def tiny_token_model(folder: Path, family: str = "janus") -> Path:
    """The folder of a tiny checkpoint, written once."""
    place = folder / family
    if not place.exists():
        place.mkdir(parents=True)
        TINY_TOKENS[family](place)
    return place


def opened(folder: Path, token_model: Path, *overrides: str) -> StageContext:
    """The context of what was planted in a folder before."""
    places = [f"store={folder / 'store'}", f"work_folder={folder / 'work'}", f"pigeon.token_model={token_model}"]
    settings = load_settings("tiny", [*places, *QUICK, *overrides])
    return replace(planting.opened(folder), settings=settings, stage=TRAIN_PIGEON)


def plant(folder: Path, token_model: Path, *overrides: str) -> StageContext:
    """Everything that train-pigeon reads for DAY."""
    planting.plant(folder)
    context = opened(folder, token_model, *overrides)
    plant_clicks(context)
    return context


def plant_clicks(context: StageContext) -> None:
    """Seven days; everybody clicks three items a day, one of them on a cover that was generated."""
    rng = np.random.default_rng(5)
    for back in range(7):
        day = DAY - timedelta(days=back)
        rows = []
        for user in range(NUM_USERS):
            for place, item in enumerate(rng.choice(planting.NUM_ITEMS, size=4, replace=False).tolist()):
                rows.append(
                    {
                        "impression_id": f"{day}-{user}-{place}",
                        "user_id": f"{user:032x}",
                        "item_id": f"i{item}",
                        "shown_at": datetime(day.year, day.month, day.day, place, tzinfo=UTC),
                        "surface": "home",
                        "position": place,
                        "cover_id": "generated" if place == 2 else None,
                        "propensity": 1.0,
                        "clicked": place != 3,
                        "dwell_seconds": None,
                    }
                )
        table = pa.Table.from_pylist(rows, schema=schemas.IMPRESSIONS)
        write_partition(context.store, keys.IMPRESSIONS, day, [table], schema=schemas.IMPRESSIONS)
