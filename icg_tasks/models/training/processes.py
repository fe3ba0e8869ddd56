"""The processes that train one model together: which rows are whose, what is averaged, gathered and agreed on.

Several are started by ``accelerate launch --multi_gpu --num_processes N -m icg_tasks.cli train-adapter …`` (on CPUs too, by
gloo); alone, every method is the identity. Only the main process writes files. Knows tensors and JSON; no model.
Legend: B rows of one process, A = B x processes.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import broadcast, gather, reduce  # type: ignore[import-untyped]
from torch import Tensor

from icg_tasks.backbones.device import Compute
from icg_tasks.contracts.errors import SettingsError

_PRECISION_VARIABLE = "ACCELERATE_MIXED_PRECISION"


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process (``index`` from 0) among ``count`` that run the same program; the default is one alone."""

    count: int = 1
    index: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def join(cls, compute: Compute) -> "Processes":
        """Those that the launcher started, on the device given to this one; gloo on the CPU, else the device's own backend.

        Raises SettingsError where accelerate was asked for several and started one, as it does on CPUs without --multi_gpu.
        """
        if {_PRECISION_VARIABLE, "MASTER_PORT"} <= os.environ.keys() and "LOCAL_RANK" not in os.environ:
            raise SettingsError(
                "accelerate was launched for several processes and started one, since it found no second GPU; add --multi_gpu "
                "(gloo serves where there are only CPUs), or ask for --num_processes 1"
            )
        on_cpu = compute.device.type == "cpu"
        state = PartialState(cpu=on_cpu)
        device = compute.device if on_cpu or state.num_processes == 1 else state.device
        return cls(count=state.num_processes, index=state.process_index, device=device)

    @property
    def is_main(self) -> bool:
        """Whether this one writes, publishes and speaks."""
        return self.index == 0

    def own(self, total: int) -> slice:
        """This process's rows of ``total`` that all draw alike; ``total`` is a multiple of ``count``."""
        rows = total // self.count
        return slice(self.index * rows, (self.index + 1) * rows)

    def dealt(self, total: int) -> list[int]:
        """This process's numbers of 0 … total - 1, dealt like cards; as many for each, the last again where they run out."""
        rounds = -(-total // self.count)
        return [min(turn * self.count + self.index, total - 1) for turn in range(rounds)]

    def collected(self, rows_B: Tensor, total: int) -> Tensor:
        """What was made of ``dealt`` numbers, from all processes, in the order of the numbers; no gradient."""
        if self.count == 1:
            return rows_B
        whole_A = self.gather(rows_B)
        order = [(number % self.count) * len(rows_B) + number // self.count for number in range(total)]
        return whole_A[torch.tensor(order, device=whole_A.device)]

    def gather(self, rows_B: Tensor) -> Tensor:
        """Rows of all processes in their order, the same everywhere; no gradient."""
        if self.count == 1:
            return rows_B
        found: Tensor = gather(rows_B.detach().contiguous())
        return found

    def gather_graded(self, rows_B: Tensor) -> Tensor:
        """Like ``gather``; a gradient flows through this process's own rows."""
        if self.count == 1:
            return rows_B
        whole_A = self.gather(rows_B)
        own = self.own(len(whole_A))
        return torch.cat([whole_A[: own.start], rows_B, whole_A[own.stop :]])

    def average_gradients(self, parts: Sequence[Tensor]) -> None:
        """Give every part the mean gradient of all processes; one without a gradient anywhere stays without."""
        if self.count == 1:
            return
        present = torch.tensor([float(part.grad is not None) for part in parts], device=self.device)
        flat = torch.cat([(torch.zeros_like(part) if part.grad is None else part.grad).flatten().float() for part in parts])
        mean: Tensor = reduce(torch.cat([present.float(), flat]), reduction="sum")
        someone, mean = mean[: len(parts)] > 0, mean[len(parts) :] / self.count
        pieces = torch.split(mean, [part.numel() for part in parts])
        for part, piece, known in zip(parts, pieces, someone.tolist(), strict=True):
            part.grad = piece.view_as(part).to(part.dtype) if known else None

    def mean_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Means over all processes; all know the same names in the same order."""
        if self.count == 1 or not figures:
            return dict(figures)
        values = torch.tensor(list(figures.values()), dtype=torch.float64, device=self.device)
        means: Tensor = reduce(values, reduction="sum") / self.count
        return dict(zip(figures, means.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process, so that all do the same."""
        if self.count == 1:
            return flag
        found: Tensor = reduce(torch.tensor([float(flag)], device=self.device), reduction="sum")
        return bool(found.item() > 0)

    def from_main(self, body: dict[str, Any]) -> dict[str, Any]:
        """The main process's JSON body, in all of them; so a decision is taken once. Numbers come through exactly."""
        if self.count == 1:
            return body
        text = json.dumps(body).encode() if self.is_main else b""
        length = torch.tensor([len(text)], device=self.device)
        broadcast(length)
        letters = torch.zeros(int(length.item()), dtype=torch.uint8, device=self.device)
        if self.is_main:
            letters.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        broadcast(letters)
        found: dict[str, Any] = json.loads(bytes(letters.cpu().numpy()))
        return found

    @torch.no_grad()
    def spread(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite tensors by the main process's, in place."""
        if self.count > 1:
            for _, tensor in sorted(tensors.items()):
                sent = tensor.detach().to(self.device).contiguous()
                broadcast(sent)
                tensor.copy_(sent)


def launched_precision(compute: Compute, asked: str) -> Compute:
    """``compute`` with the precision of ``accelerate launch --mixed_precision`` where settings leave it open (``auto``).

    Raises:
        SettingsError: the launcher was asked for one that this project does not compute in.
    """
    word = os.environ.get(_PRECISION_VARIABLE, "no")
    if word not in {"no", "bf16"}:
        raise SettingsError(f"accelerate was launched with mixed_precision={word}; expected no or bf16")
    return replace(compute, bfloat16=True) if word == "bf16" and asked == "auto" else compute
