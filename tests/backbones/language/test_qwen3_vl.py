"""Qwen3-VL's own: features of an early vision layer enter the language layers beside the image tokens."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.language.qwen3_vl import Qwen3VL
from icg_tasks.config.settings import BackboneSettings


def test_deepstack_features_are_in_what_was_read(tiny_folder: Callable[[str], Path]) -> None:
    reader = Qwen3VL.load(str(tiny_folder("qwen3_vl")), choose_compute(BackboneSettings(device="cpu", precision="float32")))
    image = Image.fromarray(np.random.default_rng(5).integers(0, 255, (40, 40, 3), dtype=np.uint8))
    before = reader.read(["A boat"], [image], 1)
    for merger in reader.model.model.visual.deepstack_merger_list:
        merger.linear_fc2.weight.zero_()
        merger.linear_fc2.bias.zero_()
    after = reader.read(["A boat"], [image], 1)
    assert torch.equal(before.layers[0][0], after.layers[0][0])  # they are added behind the first layer
    assert not torch.allclose(before.layers[1][0], after.layers[1][0], atol=1e-3)
