"""adapt-denoiser on the shipped denoiser: learns, resumes to the same weights, loses one bad image and no more."""

import io
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import choose_compute
from icg_tasks.config import load_settings
from icg_tasks.contracts.errors import DataMissing, Interrupted
from icg_tasks.contracts.holdout import is_held_out_item
from icg_tasks.contracts.partitions import ITEMS
from icg_tasks.contracts.schemas import ITEMS as ITEMS_SCHEMA
from icg_tasks.contracts.stages import ADAPT_DENOISER
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.registry import champion_as_of, fetch_version
from icg_tasks.lake.store import open_store
from icg_tasks.models.icg.adapt_denoiser import KIND, run
from icg_tasks.stage import StageContext, StopSign

DAY = date(2026, 3, 10)
NUM_ITEMS = 24


class StopAfter(StopSign):
    """Asks to stop once it was looked at so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.left = looks

    def check(self, saved: str = "nothing needed saving") -> None:
        self.left -= 1
        self.raised = self.left <= 0
        super().check(saved)


def contexts(folder: Path, *overrides: str, truncated: bool = False) -> StageContext:
    """A day with covers of one strange colour, which the denoiser has never drawn."""
    settings = load_settings(
        "tiny",
        [
            f"store={folder / 'store'}",
            f"work_folder={folder / 'work'}",
            "backbones.precision=float32",
            "adapter.batch_size=4",
            "adapter.checkpoint_every=1",
            "adapter.lora_steps=3",
            "covers.steps=2",
            *overrides,
        ],
    )
    store = open_store(settings.store)
    rows = []
    for number in range(NUM_ITEMS):
        pixels = np.random.default_rng(number).normal((20, 160, 150), 12, size=(48, 32, 3)).clip(0, 255).astype(np.uint8)
        sink = io.BytesIO()
        Image.fromarray(pixels).save(sink, "PNG")
        store.put(f"raw/images/{number}.png", sink.getvalue()[: 200 if truncated and number == 0 else None])
        rows.append(
            {
                "item_id": f"i{number}",
                "title": f"The quiet harbour {number}",
                "reference_image": f"{number}.png",
                "category": "c",
                "language": "en",
                "updated_at": datetime(2026, 3, 1, tzinfo=UTC),
                "image_sha256": "0",
                "content_hash": str(number),
            }
        )
    write_partition(store, ITEMS, DAY, [pa.Table.from_pylist(rows, schema=ITEMS_SCHEMA)], schema=ITEMS_SCHEMA)
    return StageContext(stage=ADAPT_DENOISER, run_date=DAY, settings=settings, store=store)


def test_no_budget_leaves_the_denoiser_alone(tmp_path: Path) -> None:
    context = contexts(tmp_path, "adapter.lora_steps=0")
    assert run(context).figures["champion"] == "base"
    assert champion_as_of(context.store, KIND, DAY) is None


def test_learns_the_colours_and_the_version_loads(tmp_path: Path) -> None:
    context = contexts(tmp_path, "adapter.lora_steps=25", "adapter.checkpoint_every=25", truncated=True)
    outcome = run(context)
    held_out = sum(is_held_out_item(f"i{number}") for number in range(1, NUM_ITEMS))
    assert outcome.counts == {
        "covers_learned": NUM_ITEMS - 1 - held_out,
        "covers_judged": held_out,
        "unreadable": 1,
        "steps": 25,
    }
    assert outcome.figures["held_out_loss_change"]["high"] < 0
    assert outcome.figures["colour_distance"] < outcome.figures["colour_distance_before"]
    champion = champion_as_of(context.store, KIND, DAY)
    assert champion is not None
    assert champion.version == outcome.figures["champion"]
    folder = fetch_version(context.store, champion, tmp_path / "fetched")
    compute = choose_compute(context.settings.backbones)
    drawn = []
    for lora in (None, folder):
        denoiser = open_denoiser(context.settings, compute, lora)
        told = denoiser.encode_text(["a harbour"])
        drawn.append(denoiser.sample(told, denoiser.unconditional(), denoiser.noise([3]), steps=2, guidance=1.0))
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-2)


def test_a_killed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    whole = run(contexts(tmp_path / "whole"))
    broken = contexts(tmp_path / "broken")
    with pytest.raises(Interrupted, match="saved step 2 of 3"):
        run(StageContext(stage=broken.stage, run_date=DAY, settings=broken.settings, store=broken.store, stop=StopAfter(2)))
    assert run(broken).outputs == whole.outputs


def test_too_few_covers_is_said(tmp_path: Path) -> None:
    context = contexts(tmp_path)
    only = next(number for number in range(NUM_ITEMS) if not is_held_out_item(f"i{number}"))
    table = pa.table({name: [None] for name in ITEMS_SCHEMA.names}, schema=ITEMS_SCHEMA)
    table = table.set_column(0, "item_id", pa.array([f"i{only}"])).set_column(2, "reference_image", pa.array([f"{only}.png"]))
    table = table.set_column(1, "title", pa.array(["Alone"]))
    write_partition(context.store, ITEMS, DAY, [table], schema=ITEMS_SCHEMA)
    with pytest.raises(DataMissing, match="1 covers to learn from and 0 to judge by"):
        run(context)
