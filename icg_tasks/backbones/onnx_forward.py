"""A frozen module whose calls ONNX Runtime runs on the processor: exported at the first call of each shape, kept on disk.

Exports lie below a folder that is safe to delete, by content of the weights and shape of the call; workers that start together
may both write one, the first counts. Knows modules and tensors; no model. Processors only: precision is the module's.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime
import torch
from torch import Tensor, nn

from icg_tasks.backbones.onnx_files import export_module, open_session
from icg_tasks.contracts.errors import IcgError

_KEPT = 8
"""Exports; each change of weights (a new LoRA) makes new ones."""
_FILE = "module.onnx"


class Sampled(NamedTuple):
    """As diffusers' networks answer."""

    sample: Tensor


def run_by_onnx(module: nn.Module, cache: Path, *, sampled: bool) -> None:
    """Put ONNX Runtime in the place of ``module.forward``; ``sampled``: it answers with an object that has a ``sample``."""
    module.forward = OnnxForward(module, cache, sampled=sampled)


class OnnxForward:
    """A module's ``forward``. Tensors may change from call to call; everything else of a call belongs to the graph."""

    def __init__(self, module: nn.Module, cache: Path, *, sampled: bool) -> None:
        self._module, self._cache, self._sampled = module, cache, sampled
        self._sessions: dict[str, Any] = {}
        self._weights = ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module makes of it; raises torch.OutOfMemoryError or IcgError."""
        tensors: list[Tensor] = []
        plan = _planned([list(args), kwargs], tensors)
        name = repr([plan, [(tuple(one.shape), one.dtype) for one in tensors]])
        if name not in self._sessions:
            self._sessions[name] = self._open(name, plan, tensors)
        session = self._sessions[name]
        given = {f"input_{number}": one.contiguous().numpy() for number, one in enumerate(tensors)}
        try:
            (found,) = session.run(None, {one.name: given[one.name] for one in session.get_inputs()})
        except Exception as error:  # its exceptions share no public base
            if "allocate memory" in str(error):
                raise torch.OutOfMemoryError(str(error)) from error
            raise IcgError(f"ONNX Runtime failed ({error}); set generation.runtime=torch") from error
        result = torch.from_numpy(found)
        return Sampled(result) if self._sampled else result

    def _open(self, name: str, plan: Any, tensors: list[Tensor]) -> Any:
        self._weights = self._weights or _digest(self._module)
        versions = f"{torch.__version__} {onnxruntime.__version__} {type(self._module).__name__}"
        folder = self._cache / hashlib.sha256(f"{versions} {self._weights} {name}".encode()).hexdigest()[:24]
        if not (folder / _FILE).exists():
            self._export(folder, plan, tensors)
        return open_session(folder / _FILE, wants_cuda=False)

    def _export(self, folder: Path, plan: Any, tensors: list[Tensor]) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix=".writing-") as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            inputs = [f"input_{number}" for number in range(len(tensors))]
            call = _Call(self._module, plan, sampled=self._sampled)
            with torch.autocast("cpu", enabled=False):
                export_module(call, tuple(tensors), made / _FILE, inputs=inputs, outputs=["output"], any_batch=False)
            try:
                made.rename(folder)
            except OSError:  # another worker was first
                if not (folder / _FILE).exists():
                    raise
        _forget_old(self._cache)


class _Call(nn.Module):
    """One call of a module as a function of tensors alone."""

    def __init__(self, module: nn.Module, plan: Any, *, sampled: bool) -> None:
        super().__init__()
        self.module, self._plan, self._sampled = module, plan, sampled

    def forward(self, *tensors: Tensor) -> Tensor:
        """What the class of the module does, whatever stands in its place by now."""
        args, kwargs = _filled(self._plan, tensors)
        forward: Callable[..., Any] = type(self.module).forward
        found = forward(self.module, *args, **kwargs)
        return found.sample if self._sampled else found  # type: ignore[no-any-return]


class _Place(NamedTuple):
    """Where a tensor stood."""

    number: int


def _planned(value: Any, tensors: list[Tensor]) -> Any:
    """The same with places instead of tensors, which are put into the list."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return _Place(len(tensors) - 1)
    if isinstance(value, Mapping):
        return {key: _planned(value[key], tensors) for key in sorted(value)}
    return [_planned(one, tensors) for one in value] if isinstance(value, list) else value


def _filled(plan: Any, tensors: tuple[Tensor, ...]) -> Any:
    if isinstance(plan, _Place):
        return tensors[plan.number]
    if isinstance(plan, dict):
        return {key: _filled(one, tensors) for key, one in plan.items()}
    return [_filled(one, tensors) for one in plan] if isinstance(plan, list) else plan


def _digest(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    config = getattr(module, "config", None)
    digest.update(repr(sorted(dict(config).items()) if config else "").encode())
    return digest.hexdigest()


def _forget_old(cache: Path) -> None:
    """Newest exports stay; a session that is open keeps its file whatever its name becomes."""
    exports = sorted((one for one in cache.iterdir() if not one.name.startswith(".")), key=lambda one: one.stat().st_mtime)
    for one in exports[:-_KEPT]:
        shutil.rmtree(one, ignore_errors=True)
