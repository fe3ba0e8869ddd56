"""What a training step's memory estimate comes to, in words, and the refusal where a device has less.

Knows bytes by name; no model.
"""

from collections.abc import Mapping

import torch

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.models.training.memory import available_bytes

COPIES = 6
"""Of what is trained, beside its weights: gradient, two moments, average, the start, the best."""
WORK = 1.25
"""What is kept for the backward pass, times this, is its peak: blocks under way, and gradients of activations."""
_GIGABYTE = 2**30


def told(parts: Mapping[str, int]) -> str:
    """Bytes by what holds them, in one line.

    >>> told({"weights": 2**30, "step": 2**29})
    '1.50 GB (weights 1.00, step 0.50)'
    """
    each = ", ".join(f"{name} {size / _GIGABYTE:.2f}" for name, size in parts.items())
    return f"{sum(parts.values()) / _GIGABYTE:.2f} GB ({each})"


def require_room(
    parts: Mapping[str, int], step: str, *, limit_gb: float, setting: str, device: torch.device, advice: list[str]
) -> None:
    """Raise SettingsError with ``advice`` where ``step`` needs more than ``limit_gb`` (0: than the device has free)."""
    limit = int(limit_gb * _GIGABYTE) or available_bytes(device)
    if sum(parts.values()) > limit:
        where = f"{setting} allows" if limit_gb else f"{device} has"
        raise SettingsError(
            f"{step} needs about {told(parts)}, but {where} {limit / _GIGABYTE:.2f} GB; set {', or '.join(advice)}"
        )
