"""The classifier: shapes, the way to a folder and back, and refusal of foreign folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from icg_tasks.world import ATTRIBUTE_VALUES
from icg_tasks.world.eye import AttributeClassifier, EyeConfig, EyeConfigError


def _tiny() -> AttributeClassifier:
    torch.manual_seed(0)
    return AttributeClassifier(EyeConfig(width=4, stages=2)).eval()


def test_logits_per_attribute() -> None:
    logits = _tiny()(torch.rand(3, 3, 64, 64))
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        name: (3, len(values)) for name, values in ATTRIBUTE_VALUES.items()
    }


def test_a_folder_keeps_what_it_saw(tmp_path: Path) -> None:
    eye, pixels = _tiny(), torch.rand(2, 3, 64, 64)
    eye.save_to_folder(tmp_path / "eye")
    again = AttributeClassifier.from_folder(tmp_path / "eye").probabilities(pixels)
    for name, expected in eye.probabilities(pixels).items():
        torch.testing.assert_close(again[name], expected, atol=2e-3, rtol=0)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    _tiny().save_to_folder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["attributes"]["subject"] = ["dragon"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EyeConfigError, match="train it again"):
        AttributeClassifier.from_folder(tmp_path)
