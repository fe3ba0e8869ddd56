"""What a training will need before it starts: bytes of weights, of what a backward pass keeps, and what the device has.

Knows torch and the machine; nothing of losses or settings.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_OUR_CODE = "icg_tasks."
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def modules_of(thing: Any) -> list[nn.Module]:
    """Every module that an object of ours holds, in attributes, lists, tuples and dictionaries, each once."""
    found: list[nn.Module] = []
    seen: set[int] = set()
    waiting = [thing]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, nn.Module):
            found.append(part)
        else:
            waiting += _held_by(part)
    return found


def _held_by(thing: Any) -> list[Any]:
    if isinstance(thing, (list, tuple)):
        return list(thing)
    if isinstance(thing, dict):
        return list(thing.values())
    return list(vars(thing).values()) if type(thing).__module__.startswith(_OUR_CODE) and hasattr(thing, "__dict__") else []


def tensors_of(modules: list[nn.Module]) -> list[Tensor]:
    """Parameters and buffers."""
    return [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]


def bytes_of(tensors: list[Tensor]) -> int:
    """Of their storages, each counted once."""
    return sum({part.untyped_storage().data_ptr(): part.untyped_storage().nbytes() for part in tensors}.values())


class Tally:
    """Bytes that autograd keeps for a backward pass."""

    def __init__(self) -> None:
        self._storages: dict[int, int] = {}

    @property
    def bytes(self) -> int:
        """So far."""
        return sum(self._storages.values())

    def note(self, tensor: Tensor, known: set[int]) -> Tensor:
        """Count a tensor unless its storage is known."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            self._storages[storage.data_ptr()] = storage.nbytes()
        return tensor


@contextmanager
def kept_for_backward(weights: list[Tensor]) -> Iterator[Tally]:
    """Counts what is kept while it lasts, each storage once; ``weights`` are there anyway and do not count."""
    tally, known = Tally(), {part.untyped_storage().data_ptr() for part in weights}
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tally.note(tensor, known), lambda tensor: tensor):
        yield tally


def available_bytes(device: torch.device) -> int:
    """What this process may use of a device's memory, with what it already holds: of the GPU, else of main memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + int(torch.cuda.memory_reserved(device))
    page = os.sysconf("SC_PAGE_SIZE")
    limits = [os.sysconf("SC_PHYS_PAGES") * page]
    if _CGROUP_LIMIT.is_file() and (text := _CGROUP_LIMIT.read_text().strip()).isdigit():
        limits.append(int(text))
    return min(limits)
