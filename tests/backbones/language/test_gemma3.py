"""Gemma 3's own: image tokens see each other in both directions, and a window shorter than the prompt."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.language.gemma3 import Gemma3
from icg_tasks.config.settings import BackboneSettings


@pytest.fixture(scope="module")
def reader(tiny_folder: Callable[[str], Path]) -> Gemma3:
    return Gemma3.load(str(tiny_folder("gemma3")), choose_compute(BackboneSettings(device="cpu", precision="float32")))


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(5).integers(0, 255, (40, 40, 3), dtype=np.uint8))


def test_image_tokens_see_forward_and_words_do_not(reader: Gemma3, monkeypatch: pytest.MonkeyPatch) -> None:
    row = reader.prompts(["A boat"], [picture()]).rows[0]
    first = row.index(reader.image_token)
    both_ways = reader.read(["A boat"], [picture()], 1).layers[1][0]
    monkeypatch.setattr(reader, "token_kinds", lambda ids: {})
    only_back = reader.read(["A boat"], [picture()], 1).layers[1][0]
    assert torch.allclose(both_ways[:, :, :first], only_back[:, :, :first], atol=1e-6)
    assert not torch.allclose(both_ways[:, :, first], only_back[:, :, first], atol=1e-3)


def test_the_kept_cache_holds_more_than_the_window(reader: Gemma3) -> None:
    reading = reader.read(["A boat"], [picture()], 2)
    window = reader.model.config.text_config.sliding_window
    assert {keys.shape[2] for keys, _ in reading.layers} == {reading.mask_BT.shape[1] - 2}
    assert reading.layers[0][0].shape[2] > window + 2
