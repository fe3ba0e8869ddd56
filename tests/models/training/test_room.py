"""Estimates in words, and the refusal of what cannot fit."""

import pytest
import torch

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.models.training.room import require_room, told

_GIGABYTE = 2**30


def _require(limit_gb: float, weights: int = _GIGABYTE) -> None:
    require_room(
        {"weights": weights, "step": _GIGABYTE},
        "a step of 8 rows",
        limit_gb=limit_gb,
        setting="a.memory_limit_gb",
        device=torch.device("cpu"),
        advice=["a.batch_size=4", "a smaller model"],
    )


def test_the_parts_and_their_sum_are_told() -> None:
    assert told({"weights": _GIGABYTE, "step": _GIGABYTE // 4}) == "1.25 GB (weights 1.00, step 0.25)"


def test_what_does_not_fit_a_limit_is_refused_with_advice() -> None:
    needs = r"a step of 8 rows needs about 2\.00 GB"
    with pytest.raises(SettingsError, match=needs + r".*a\.memory_limit_gb allows 1\.50 GB; set a\.batch_size=4, or a smaller"):
        _require(1.5)
    _require(2.0)


def test_without_a_limit_the_device_has_the_say() -> None:
    _require(0.0)
    with pytest.raises(SettingsError, match="but cpu has"):
        _require(0.0, weights=2**50)
