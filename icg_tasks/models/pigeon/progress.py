"""Where a Pigeon training is, and its state on disk: written by the main process alone, taken up by all.

Knows tensors and a folder; nothing of losses.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from icg_tasks.models.pigeon.pairs import Pairs
from icg_tasks.models.training.bench import Bench
from icg_tasks.models.training.checkpoint import load_checkpoint, save_checkpoint
from icg_tasks.models.training.processes import Processes

RECONSTRUCTION, PREFERENCE, DONE = "reconstruction", "preference", "done"


@dataclass(kw_only=True)
class Progress:
    """What a checkpoint holds besides tensors. ``step`` counts within the stage, ``total_steps`` over both."""

    stage: str = RECONSTRUCTION
    step: int = 0
    total_steps: int = 0
    best_step: int = 0  # of both stages together
    best_value: float = -math.inf
    misses: int = 0  # checks of stage 1 in a row without a better one
    rollbacks: int = 0
    caution: float = 1.0
    curves: list[dict[str, float]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)


class TrainingState:
    """Everything that a step changes. ``bench`` is the present stage's.

    ``start``, ``best`` and ``reconstructed`` (stage 1's best) are trained weights by name.
    """

    def __init__(self, folder: Path, identity: str, start: dict[str, Tensor]) -> None:
        self.folder, self.identity = folder, identity
        self.start = {name: part.detach().clone() for name, part in start.items()}
        self.best = {name: part.detach().clone() for name, part in start.items()}
        self.reconstructed = {name: part.detach().clone() for name, part in start.items()}
        self.pairs: Pairs | None = None
        self.progress = Progress()

    def save(self, bench: Bench, processes: Processes) -> None:
        """Replace the checkpoint; other processes than the main one have nothing to do."""
        if processes.is_main:
            tensors = {f"bench.{name}": part for name, part in bench.tensors().items()}
            tensors |= {f"start.{name}": part for name, part in self.start.items()}
            tensors |= {f"best.{name}": part for name, part in self.best.items()}
            tensors |= {f"reconstructed.{name}": part for name, part in self.reconstructed.items()}
            if self.pairs is not None:
                tensors |= {f"pairs.{name}": part for name, part in self.pairs.tensors().items()}
            state = vars(self.progress) | {"identity": self.identity, "bench_steps": bench.steps}
            save_checkpoint(self.folder, tensors, state)

    def resume(self, make_bench: Callable[[bool], Bench], processes: Processes) -> Bench | None:
        """Take up a former run of the same identity; returns its bench, or None where there is no such run.

        ``make_bench`` is told whether masks learn on it (stage 1). All processes get the main one's state.
        """
        found = load_checkpoint(self.folder, self.identity) if processes.is_main else None
        tensors, state = found or ({}, {})
        pairs = {name: part.tolist() for name, part in _part(tensors, "pairs.").items()}
        body = processes.from_main({"found": found is not None, "pairs": pairs, **state})
        if not body["found"]:
            return None
        bench = make_bench(not body["pairs"])
        if found is not None:
            _overwrite(self.start, _part(tensors, "start."))
            _overwrite(self.best, _part(tensors, "best."))
            _overwrite(self.reconstructed, _part(tensors, "reconstructed."))
            bench.take_up(_part(tensors, "bench."), int(state["bench_steps"]))
        processes.spread(bench.tensors() | {f"start.{name}": part for name, part in self.start.items()})
        processes.spread(self.best)
        processes.spread(self.reconstructed)
        bench.steps = int(body["bench_steps"])
        self.progress = Progress(**{name: body[name] for name in vars(self.progress)})
        device = next(iter(self.start.values())).device
        self.pairs = Pairs.from_lists(body["pairs"], device) if body["pairs"] else None
        return bench


def _overwrite(parts: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    for name, part in parts.items():
        part.copy_(found[name])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
