"""Choice of device and precision."""

import pytest
import torch

from icg_tasks.backbones.device import choose_compute
from icg_tasks.config.settings import BackboneSettings
from icg_tasks.contracts.errors import SettingsError


def test_precision_decides_what_products_are_computed_in() -> None:
    for precision, expected in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        compute = choose_compute(BackboneSettings(device="cpu", precision=precision))
        with compute.autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected
        assert compute.frozen_dtype == torch.float32  # on the CPU weights stay whole


@pytest.mark.parametrize("fields", [{"precision": "float8"}, {"device": "tpu"}])
def test_unknown_words_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        choose_compute(BackboneSettings(**fields))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="device=auto"):
        choose_compute(BackboneSettings(device="cuda"))
