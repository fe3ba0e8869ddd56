"""The bench every part of the recipe works on: paths, seeds, one resumable training loop with averaged weights.

Does not know what is trained. Nothing to run here; see ``python -m zoo.recipe --help``.
"""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

REPOSITORY: Final = Path(__file__).resolve().parents[2]
ZOO: Final = REPOSITORY / "zoo"
CACHE: Final = REPOSITORY / ".cache" / "zoo"

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast a part trains. ``export_every`` and ``save_every`` count optimiser steps.

    ``matrix_rate`` above 0 lets Muon (orthogonalised momentum) move the weight matrices of ``layers``, at that rate.
    """

    name: str
    steps: int
    learning_rate: float
    matrix_rate: float = 0.0
    warmup: int = 100
    weight_decay: float = 0.01
    average_decay: float = 0.998
    clip_norm: float = 1.0
    seed: int = 7
    save_every: int = 250
    export_every: int = 500
    final_rate_share: float = 0.02

    def rate_at(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, then a half cosine down to ``final_rate_share``."""
        return self.learning_rate * self.pace_at(step)

    def pace_at(self, step: int) -> float:
        """Share of the highest rate at a step."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        phase = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        floor = self.final_rate_share
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * phase))


def device() -> torch.device:
    """The accelerator if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rank() -> int:
    """This process's number among the WORLD_SIZE that train together; 0 when alone."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together, each on its share of the batch; set by torchrun or by hand."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def half_precision() -> torch.autocast:
    """A bf16 autocast context for the device in use."""
    return torch.autocast(device().type, torch.bfloat16)


def set_threads() -> None:
    """One thread unless OMP_NUM_THREADS says otherwise: two busy processes with two threads each only spin."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def log(text: str) -> None:
    """A line of progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Write a folder beside the target and move it into place; what the target held before is removed."""
    fresh = target.with_name(f".{target.name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    write(fresh)
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


class _Bench(Generic[ModuleT]):
    """A module in training with its optimiser, averaged weights and the step reached; saves and resumes itself."""

    def __init__(self, plan: Plan, module: ModuleT) -> None:
        self.plan, self.module = plan, module
        self.trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        matrices = {name for name, p in self.trained.items() if plan.matrix_rate > 0 and ".layers." in name and p.ndim == 2}
        rest = [p for name, p in self.trained.items() if name not in matrices]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay, fused=True)
        ]
        if matrices:
            hidden = [self.trained[name] for name in sorted(matrices)]
            self.optimisers.append(torch.optim.Muon(hidden, lr=plan.matrix_rate, weight_decay=plan.weight_decay))
        self.average = {name: p.detach().clone() for name, p in self.trained.items()}
        self.step = 0
        self.folder = CACHE / "checkpoints" / plan.name

    def save(self) -> None:
        """Replace the checkpoint folder with the present state."""

        def write(folder: Path) -> None:
            tensors = {f"model.{name}": p.detach().contiguous() for name, p in self.module.state_dict().items()}
            tensors |= {f"average.{name}": p.contiguous() for name, p in self.average.items()}
            for name, parameter in self.trained.items():
                state = self._optimiser_of(parameter).state.get(parameter, {})
                tensors |= {f"optimiser.{key}.{name}": value.contiguous() for key, value in state.items()}
            save_file({key: value.clone() for key, value in tensors.items()}, folder / "state.safetensors")
            (folder / "state.json").write_text(json.dumps({"step": self.step, "plan": self.plan.name}) + "\n")

        self.folder.parent.mkdir(parents=True, exist_ok=True)
        replace_folder(self.folder, write)

    def resume(self) -> None:
        """Take up the checkpoint if there is one."""
        if not (self.folder / "state.json").exists():
            return
        tensors = load_file(self.folder / "state.safetensors", device=str(device()))
        self.module.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")}, strict=False)
        self.average |= {k[8:]: v for k, v in tensors.items() if k.startswith("average.")}
        for name, parameter in self.trained.items():
            keys = {k.split(".")[1]: v for k, v in tensors.items() if k.startswith("optimiser.") and k.split(".", 2)[2] == name}
            if keys:
                keys |= {"step": keys["step"].cpu()} if "step" in keys else {}
                self._optimiser_of(parameter).state[parameter] = keys
        self.step = int(json.loads((self.folder / "state.json").read_text())["step"])
        log(f"{self.plan.name}: resumed at step {self.step}")

    def advance(self, loss: Tensor) -> None:
        """One optimiser step and one step of the running average."""
        for optimiser, rate in zip(self.optimisers, (self.plan.learning_rate, self.plan.matrix_rate), strict=False):
            optimiser.param_groups[0]["lr"] = rate * self.plan.pace_at(self.step)
            optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if world_size() > 1:
            self._share_gradients()
        nn.utils.clip_grad_norm_(self.trained.values(), self.plan.clip_norm)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        decay = min(self.plan.average_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.trained.items():
                self.average[name].lerp_(parameter, 1 - decay)

    def _optimiser_of(self, parameter: nn.Parameter) -> torch.optim.Optimizer:
        known = (one for one in self.optimisers if any(parameter is other for other in one.param_groups[0]["params"]))
        return next(known)

    def _share_gradients(self) -> None:
        """Replace every gradient by its mean over the processes, in one message."""
        gradients = [p.grad for p in self.trained.values() if p.grad is not None]
        joined = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(joined)
        joined /= world_size()
        for gradient, mean in zip(gradients, torch.split_with_sizes(joined, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def averaged(self) -> ModuleT:
        """A copy of the module wearing the averaged weights, in evaluation mode."""
        module = copy.deepcopy(self.module)
        module.load_state_dict(self.average, strict=False)
        return module.eval()


def train(
    plan: Plan,
    module: ModuleT,
    loss_of: Callable[[ModuleT, np.random.Generator], tuple[Tensor, dict[str, float]]],
    export: Callable[[ModuleT, int], None],
) -> ModuleT:
    """Train, log loss and time left, save, export the averaged weights now and then; returns the averaged module.

    ``loss_of`` gets the module and a generator seeded by (plan seed, step, rank), so a resumed run sees the very
    batches it would have seen.
    """
    bench = _Bench(plan, module.to(device()))
    bench.resume()
    if world_size() > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device().type == "cuda" else "gloo")
    module.train()
    began, first = time.monotonic(), bench.step
    running: dict[str, float] = {}
    exported = -1
    while bench.step < plan.steps:
        torch.manual_seed((plan.seed * 1_000_003 + bench.step) * world_size() + rank())
        loss, parts = loss_of(module, np.random.default_rng((plan.seed, bench.step, rank())))
        bench.advance(loss)
        if rank() > 0:
            continue
        for name, value in {"loss": float(loss.detach()), **parts}.items():
            running[name] = 0.95 * running.get(name, value) + 0.05 * value
        if bench.step % 50 == 0:
            pace = (time.monotonic() - began) / (bench.step - first)
            figures = " ".join(f"{name} {value:.4f}" for name, value in running.items())
            left = pace * (plan.steps - bench.step) / 60
            log(f"{plan.name} {bench.step}/{plan.steps} {figures} {pace:.3f} s/step, {left:.1f} min left")
        if bench.step % plan.save_every == 0 or bench.step == plan.steps:
            bench.save()
        if bench.step % plan.export_every == 0:
            export(bench.averaged(), bench.step)
            exported = bench.step
    averaged = bench.averaged()
    if rank() == 0 and exported != plan.steps:
        export(averaged, plan.steps)
    return averaged


def portions(rows: Tensor, size: int) -> list[Tensor]:
    """The tensor cut along its first axis into pieces of at most ``size`` rows."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write sorted, indented JSON with a final newline."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
