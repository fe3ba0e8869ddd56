"""How fast covers could be drawn at best: operations of one cover, beside the products that one core does in a second.

Counts matrix products and convolutions alone; attention's own and everything element by element comes on top.
"""

import statistics
import time
from dataclasses import dataclass

from icg_tasks.config.settings import Settings

_SIDE, _TIMES, _ROUNDS = 1024, 4, 5


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Operations of a cover (billions) and of one core in a second, by precision of products (billions)."""

    per_cover: float
    per_second: dict[str, float]

    def covers(self, cores: int, precision: str) -> float:
        """Covers a second of so many cores that do nothing but these products."""
        return cores * self.per_second[precision] / self.per_cover


def measure(settings: Settings) -> Limit:
    """Of the denoiser that settings name with lean layers, with guidance, and its decoder; one thread."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from icg_tasks.backbones.denoisers.table import open_denoiser
    from icg_tasks.backbones.device import Compute
    from icg_tasks.models.training.threads import one_thread

    denoiser = open_denoiser(settings, Compute(device=torch.device("cpu"), bfloat16=False))
    denoiser.quicken(channels_last=False, compiled=False, lean=True)
    untold, covers = denoiser.unconditional(), settings.covers
    with one_thread():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            latents = denoiser.sample(untold, untold, denoiser.noise([1]), steps=covers.steps, guidance=covers.guidance)
            denoiser.decode(latents)
        per_second = {name: _products(dtype) for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))}
    return Limit(per_cover=counter.get_total_flops() / 1e9, per_second=per_second)


def _products(dtype: object) -> float:
    """Billions of operations a second in large products, median."""
    import torch

    left, right = (torch.randn(_SIDE, _SIDE).to(dtype) for _ in range(2))  # type: ignore[call-overload]
    rates = []
    for _ in range(_ROUNDS + 1):
        began = time.thread_time()
        for _ in range(_TIMES):
            left @ right
        rates.append(_TIMES * 2 * _SIDE**3 / (time.thread_time() - began) / 1e9)
    return statistics.median(rates[1:])
