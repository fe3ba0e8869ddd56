"""A training's state on disk: written by the main process alone, taken up by all from what the main one read.

Knows the parts of a training and a folder; nothing of losses.
"""

from pathlib import Path

from torch import Tensor

from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.progress import Progress
from icg_tasks.models.training.bench import Bench
from icg_tasks.models.training.checkpoint import load_checkpoint, save_checkpoint
from icg_tasks.models.training.processes import Processes
from icg_tasks.models.training.running import RunningScale


class TrainingState:
    """Everything that a step changes. ``start`` and ``best`` change at the alignment's end and at checks."""

    def __init__(
        self, folder: Path, identity: str, bench: Bench, start: IcgAdapter, best: IcgAdapter, scale: RunningScale
    ) -> None:
        self.folder, self.identity = folder, identity
        self.bench, self.start, self.best, self.scale = bench, start, best, scale
        self.progress = Progress()

    def save(self, processes: Processes) -> None:
        """Replace the checkpoint; other processes than the main one have nothing to do."""
        if processes.is_main:
            state = vars(self.progress) | {
                "identity": self.identity,
                "bench_steps": self.bench.steps,
                "moments": self.scale.moments,
            }
            save_checkpoint(self.folder, self._tensors(), state)

    def resume(self, processes: Processes) -> bool:
        """Take up a former run of the same identity, if there is one; in any case all processes hold the main one's state."""
        found = load_checkpoint(self.folder, self.identity) if processes.is_main else None
        if found is not None:
            tensors, state = found
            self.bench.take_up(_part(tensors, "bench."), int(state["bench_steps"]))
            self.start.load_state_dict(_part(tensors, "start."))
            self.best.load_state_dict(_part(tensors, "best."))
        state = processes.from_main({"found": found is not None, **(found[1] if found else {})})
        processes.spread(self._tensors())
        if state["found"]:
            self.bench.steps = int(state["bench_steps"])
            self.scale.moments = state["moments"]
            self.progress = Progress(**{name: state[name] for name in vars(self.progress)})
        return bool(state["found"])

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"bench.{name}": part for name, part in self.bench.tensors().items()}
        tensors |= {f"start.{name}": part for name, part in self.start.state_dict().items()}
        return tensors | {f"best.{name}": part for name, part in self.best.state_dict().items()}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
