"""The adapter as a speaker to the denoiser that is being adapted: what it says, and when there is none."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import torch
from PIL import Image

from icg_tasks.backbones.denoisers.conditioning import ConditioningShape, Denoiser
from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import choose_compute
from icg_tasks.config import load_settings
from icg_tasks.lake.store import open_store
from icg_tasks.models.icg.speakers import AdapterSpeaker
from icg_tasks.stage import StageContext

TITLES = ["The quiet harbour", "A storm of owls", "Moonlit bread"]
IMAGES = [Image.new("RGB", (40, 60), colour) for colour in ("red", "navy", "olive")]


def context(folder: Path, *overrides: str) -> StageContext:
    words = [f"store={folder / 'store'}", f"work_folder={folder / 'work'}", "backbones.precision=float32", *overrides]
    settings = load_settings("tiny", words)
    return StageContext(stage="adapt-denoiser", run_date=date(2026, 3, 10), settings=settings, store=open_store(settings.store))


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    settings = load_settings("tiny", ["backbones.precision=float32"])
    return open_denoiser(settings, choose_compute(settings.backbones))


def test_it_tells_what_the_warm_adapter_says_of_each_item(tmp_path: Path, denoiser: Denoiser) -> None:
    day = context(tmp_path)
    speaker = AdapterSpeaker.of_day(day, denoiser, choose_compute(day.settings.backbones))
    assert speaker is not None
    told = speaker.tell(IMAGES, TITLES)
    assert (len(told), *told.sequence.shape[1:]) == (3, denoiser.shape.length, denoiser.shape.width)
    assert torch.allclose(speaker.tell(IMAGES[1:2], TITLES[1:2]).sequence, told.sequence[1:2], atol=1e-4)
    assert (told.sequence[0] - told.sequence[1]).abs().max() > 0.01
    assert (told.sequence - denoiser.encode_text(TITLES).sequence).abs().max() > 0.01


def test_without_an_adapter_for_this_denoiser_nobody_speaks(tmp_path: Path, denoiser: Denoiser) -> None:
    day = context(tmp_path, "backbones.warm_adapter=")
    compute = choose_compute(day.settings.backbones)
    assert AdapterSpeaker.of_day(day, denoiser, compute) is None

    class Another:
        shape = ConditioningShape(length=denoiser.shape.length + 1, width=denoiser.shape.width, pooled=denoiser.shape.pooled)

    assert AdapterSpeaker.of_day(replace(context(tmp_path)), Another(), compute) is None  # type: ignore[arg-type]
