"""ONNX Runtime in torch's place: every family draws the same, rows do not mix, exports are kept and found again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from icg_tasks.backbones import onnx_forward
from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.onnx_forward import run_by_onnx
from icg_tasks.contracts.errors import IcgError, SettingsError
from tests.backbones.denoisers.test_lean import close, drawn, fresh
from tests.backbones.denoisers.tiny import TINY_DENOISERS


@pytest.mark.parametrize("variant", [*TINY_DENOISERS, "sd15-lcm"])
def test_every_family_draws_the_same_under_onnx_runtime(
    denoiser: LatentDenoiser, variant: str, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    other = fresh(folder_of(variant), variant.partition("-")[0], bfloat16=True)  # as a processor with such products is asked
    other.quicken(channels_last=False, compiled=False, lean=True, onnx_cache=tmp_path)
    found = drawn(other)
    assert close(found, drawn(denoiser), 1e-3)
    assert torch.equal(drawn(other), found)
    exports = [one for one in tmp_path.iterdir() if (one / "module.onnx").exists()]
    assert len(exports) >= 2  # network and decoder


def test_what_it_cannot_be_asked_for_together_with(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    for more in ({"channels_last": True, "compiled": False}, {"channels_last": False, "compiled": True}):
        with pytest.raises(SettingsError, match=r"generation\.compile"):
            fresh(folder_of("sd15"), "sd15", bfloat16=False).quicken(**more, onnx_cache=tmp_path)


class Layer(nn.Module):
    """A product, a choice by name, an input that may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Linear(4, 3)

    def forward(self, rows: torch.Tensor, more: dict[str, torch.Tensor] | None = None, sign: float = 1.0) -> torch.Tensor:
        found: torch.Tensor = sign * self.product(rows) + (0.0 if more is None else more["shift"])
        return found


def layer(seed: int = 3) -> Layer:
    torch.manual_seed(seed)
    return Layer().eval().requires_grad_(False)


def test_calls_of_another_shape_or_kind_are_graphs_of_their_own(tmp_path: Path) -> None:
    plain, ours = layer(), layer()
    run_by_onnx(ours, tmp_path, sampled=False)
    rows, shift = torch.randn(2, 4), torch.randn(3)
    for given in (rows, torch.randn(5, 4), rows.T.contiguous().T):
        assert torch.allclose(ours(given), plain(given), atol=1e-6)
    assert torch.allclose(
        ours(rows, more={"shift": shift}, sign=-2.0), plain(rows, more={"shift": shift}, sign=-2.0), atol=1e-6
    )
    assert len(list(tmp_path.iterdir())) == 3


def test_exports_are_found_again_until_the_weights_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = layer()
    run_by_onnx(first, tmp_path, sampled=False)
    wanted = first(torch.ones(1, 4))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("exported again")

    with monkeypatch.context() as patch:
        patch.setattr(onnx_forward, "export_module", refuse)
        again = layer()
        run_by_onnx(again, tmp_path, sampled=False)
        assert torch.equal(again(torch.ones(1, 4)), wanted)
    other = layer(4)
    run_by_onnx(other, tmp_path, sampled=False)
    assert not torch.allclose(other(torch.ones(1, 4)), wanted)
    assert len(list(tmp_path.iterdir())) == 2


def test_old_exports_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_forward, "_KEPT", 2)
    for seed in range(4):
        ours = layer(seed)
        run_by_onnx(ours, tmp_path, sampled=False)
        ours(torch.ones(1, 4))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_export_is_removed_and_said(tmp_path: Path) -> None:
    ours = layer()
    run_by_onnx(ours, tmp_path, sampled=False)
    ours(torch.ones(1, 4))
    (export,) = tmp_path.glob("*/module.onnx")
    export.write_bytes(b"half of it")
    again = layer()
    run_by_onnx(again, tmp_path, sampled=False)
    with pytest.raises(IcgError, match="run the stage again"):
        again(torch.ones(1, 4))
    assert torch.allclose(again(torch.ones(1, 4)), layer()(torch.ones(1, 4)), atol=1e-6)


def test_memory_that_runs_out_is_told_as_torch_tells_it(tmp_path: Path) -> None:
    class Full:
        def get_inputs(self) -> list[object]:
            return []

        def run(self, *_: object) -> None:
            raise RuntimeError("bad_alloc: Failed to allocate memory for requested buffer of size 99")

    ours = layer()
    run_by_onnx(ours, tmp_path, sampled=False)
    rows = torch.ones(1, 4)
    ours(rows)
    forward: Any = ours.forward
    forward._sessions = dict.fromkeys(forward._sessions, Full())
    with pytest.raises(torch.OutOfMemoryError):
        ours(rows)
