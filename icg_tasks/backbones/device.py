"""Which device and precision the backbones compute with. Knows settings' words and torch; no model."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from icg_tasks.config.settings import BackboneSettings
from icg_tasks.contracts.errors import SettingsError

_PRECISIONS = ("auto", "float32", "bfloat16")
_DEVICES = ("auto", "cpu", "cuda")
_ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flex_attention")


@dataclass(frozen=True, kw_only=True)
class Compute:
    """A device, whether products run in bfloat16 (weights and sums stay float32 on the CPU), how attention is computed."""

    device: torch.device
    bfloat16: bool
    attention: str = "sdpa"  # transformers' name of the language model's implementation
    half_on_cpu: bool = False  # weights and sums in bfloat16 on the CPU, too, where products are

    @property
    def frozen_dtype(self) -> torch.dtype:
        """What frozen weights are held in: bfloat16 on an accelerator that computes in it, else float32."""
        return torch.bfloat16 if self.bfloat16 and (self.half_on_cpu or self.device.type != "cpu") else torch.float32

    def autocast(self, *, enabled: bool = True) -> AbstractContextManager[object]:
        """Context in which matrix products and convolutions run in the chosen precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16 and enabled)


def choose_compute(backbones: BackboneSettings) -> Compute:
    """From settings; ``auto`` takes CUDA where it is found, and bfloat16 where the hardware multiplies in it.

    Raises:
        SettingsError: an unknown word, or ``cuda`` where there is none.
    """
    if backbones.precision not in _PRECISIONS:
        raise SettingsError(f"backbones.precision={backbones.precision!r}; expected {', '.join(_PRECISIONS)}")
    if backbones.device not in _DEVICES:
        raise SettingsError(f"backbones.device={backbones.device!r}; expected {', '.join(_DEVICES)}")
    if backbones.attention not in _ATTENTIONS:
        raise SettingsError(f"backbones.attention={backbones.attention!r}; expected {', '.join(_ATTENTIONS)}")
    if backbones.device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("backbones.device=cuda, but torch finds no CUDA device; set backbones.device=auto")
    on_cuda = backbones.device != "cpu" and torch.cuda.is_available()
    half = backbones.precision == "bfloat16" or (backbones.precision == "auto" and _multiplies_bfloat16(on_cuda))
    device = torch.device("cuda" if on_cuda else "cpu")
    return Compute(device=device, bfloat16=half, attention=backbones.attention)


def _multiplies_bfloat16(on_cuda: bool) -> bool:
    if on_cuda:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
