"""A training's state on disk: tensors in safetensors, numbers in JSON, replaced whole, so a kill at any moment leaves one.

Knows tensors and files; no model. All randomness of our trainings comes from (seed, step): the step is the generator's state.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

_TENSORS, _STATE = "state.safetensors", "state.json"


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Replace the checkpoint in ``folder``; readers see the former one or this one whole."""
    fresh, old = folder.with_name(folder.name + ".fresh"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    whole = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in sorted(tensors.items())}
    safetensors.torch.save_file(whole, fresh / _TENSORS)
    (fresh / _STATE).write_text(json.dumps(dict(state), sort_keys=True))
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path, identity: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and state of a checkpoint whose ``state["identity"]`` is this one; None where there is none or of another run.

    A checkpoint that a kill left half renamed is found under its former name; one that cannot be read counts as none.
    """
    for place in (folder, folder.with_name(folder.name + ".old")):
        try:
            state: dict[str, Any] = json.loads((place / _STATE).read_text())
            if state.get("identity") == identity:
                return safetensors.torch.load_file(place / _TENSORS), state
        except (OSError, ValueError, SafetensorError):
            continue
    return None


def discard_checkpoint(folder: Path) -> None:
    """Remove a checkpoint that is no longer needed."""
    for place in (folder, folder.with_name(folder.name + ".old"), folder.with_name(folder.name + ".fresh")):
        shutil.rmtree(place, ignore_errors=True)
