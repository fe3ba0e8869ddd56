"""The adapter's training: alignment, then rewards, checked on items set aside, rolled back when a canary moves.

Resumable at any step to the same weights: everything random comes from (seed, step), the rest is in the checkpoint.
Knows models and a folder; no store.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.alignment import alignment_loss
from icg_tasks.models.icg.audience import Audience
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.check import Check, check_adapter
from icg_tasks.models.icg.gate import broken_canaries, value
from icg_tasks.models.icg.objective import SCALE_FLOORS, as_row, draw_batch, step_loss
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.icg.targets import Targets
from icg_tasks.models.training.bench import Bench
from icg_tasks.models.training.checkpoint import load_checkpoint, save_checkpoint
from icg_tasks.models.training.running import RunningScale

_WARM_UP_STEPS = 6
_LAST_PACE = 0.1
_MAX_ROLLBACKS = 2
_ALIGNMENT_PACE = 4.0


@dataclass(kw_only=True)
class Progress:
    """What a checkpoint holds besides tensors."""

    step: int = 0
    best_step: int = 0
    best_value: float = -math.inf
    rollbacks: int = 0
    caution: float = 1.0
    curves: list[dict[str, float]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """``adapter`` wears the best averaged weights; the checks are of it and of the adapter that the rewards began with."""

    adapter: IcgAdapter
    start: IcgAdapter
    start_check: Check
    best_check: Check
    progress: Progress


class AdapterTraining:
    """One training in one folder."""

    def __init__(
        self,
        studio: Studio,
        adapter: IcgAdapter,
        items: tuple[Catalogue, Catalogue],
        audience: Audience,
        settings: AdapterSettings,
        *,
        folder: Path,
        identity: str,
        aligns: bool,
        say: Callable[[str], None],
        stop: Callable[[Callable[[], None]], None],
    ) -> None:
        self.studio, self.settings, self.audience = studio, settings, audience
        self.learned, self.aside = items
        self.folder, self.identity, self.say, self.stop = folder, identity, say, stop
        device = studio.compute.device
        self.adapter = adapter.to(device).requires_grad_(True).train()
        self.start = copy.deepcopy(self.adapter).requires_grad_(False).eval()
        self.best = copy.deepcopy(self.start)
        self.bench = Bench(self.adapter, learning_rate=settings.learning_rate, average_decay=settings.ema_decay)
        self.scale = RunningScale(SCALE_FLOORS)
        self.progress = Progress()
        self._best_check: Check | None = None  # not saved: a resumed run checks the best again
        self.alignment_steps = settings.alignment_steps if aligns else 0
        self.total_steps = self.alignment_steps + settings.reward_steps
        self.targets = Targets(self.learned, studio.judges.preference)  # type: ignore[arg-type]

    def run(self) -> Trained:
        """Train to the end; raises Interrupted after saving where a stop is asked for."""
        self._resume()
        if self.progress.step < self.alignment_steps:
            self._align()
        start_check = self._check(self.start)
        if not self.progress.checks:
            self.progress.best_value = value(start_check, self.settings)
            self._note(start_check, [])
        while self.progress.step < self.total_steps and self.progress.rollbacks < _MAX_ROLLBACKS:
            self._reward_step()
            done = self.progress.step - self.alignment_steps
            if done % self.settings.evaluate_every == 0 or self.progress.step == self.total_steps:
                self._judge(start_check)
            self._keep()
        best_check = start_check if self.progress.best_step == 0 else self._best_check or self._check(self.best)
        return Trained(
            adapter=self.best, start=self.start, start_check=start_check, best_check=best_check, progress=self.progress
        )

    def _align(self) -> None:
        """Learn the denoiser's language; the anchor and the first best are what comes out."""
        if self.progress.step == 0:
            self.adapter.start_at(self.studio.denoiser.encode_text(self.learned.titles))
        while self.progress.step < self.alignment_steps:
            batch = self._batch()
            loss, parts = alignment_loss(self.studio, self.adapter, batch, self.learned)
            self._advance(loss, parts, _ALIGNMENT_PACE * self._pace(self.progress.step, self.alignment_steps))
            if self.progress.step == self.alignment_steps:
                self.start.load_state_dict(self._averaged())
                self.best.load_state_dict(self._averaged())
            self._keep()

    def _reward_step(self) -> None:
        loss, parts = step_loss(self.studio, self.adapter, self.start, self._batch(), self.learned, self.scale, self.settings)
        done = self.progress.step - self.alignment_steps
        self._advance(loss, parts, self.progress.caution * self._pace(done, self.settings.reward_steps))

    def _advance(self, loss: Tensor, parts: dict[str, float], pace: float) -> None:
        norm = self.bench.step(loss, pace)
        self.progress.step += 1
        step = self.progress.step
        row = {"step": float(step), "loss": float(loss.detach()), "gradient": norm if math.isfinite(norm) else -1.0} | parts
        self.progress.curves.append(as_row(row))
        if step % 10 == 0 or step == self.total_steps:
            told = " ".join(f"{name} {number:.3f}" for name, number in parts.items())
            self.say(f"step {step} of {self.total_steps}: {told}")

    def _judge(self, start_check: Check) -> None:
        """Check the averaged weights: keep them if they are the best yet, go back to the best if a canary has moved."""
        candidate = copy.deepcopy(self.start)
        candidate.load_state_dict(self._averaged())
        found = self._check(candidate)
        broken = broken_canaries(found, start_check)
        self._note(found, broken)
        if broken:
            self.progress.rollbacks += 1
            self.progress.caution /= 2
            self.adapter.load_state_dict(self.best.state_dict())
            for name, part in self.bench.average.items():
                part.copy_(self.best.get_parameter(name).detach())
            self.say(f"step {self.progress.step}: back to step {self.progress.best_step}, since {'; '.join(broken)}")
        elif value(found, self.settings) > self.progress.best_value:
            self.progress.best_value, self.progress.best_step = value(found, self.settings), self.progress.step
            self.best.load_state_dict(candidate.state_dict())
            self._best_check = found

    def _note(self, check: Check, broken: list[str]) -> None:
        row = {"step": self.progress.step, "value": round(value(check, self.settings), 5), "broken": broken} | check.to_json()
        self.progress.checks.append(row)
        self.say(
            f"check at {row['step']}: own {row['own']:.3f} swapped {row['swapped']:.3f} plain {row['plain']:.3f} "
            f"nobody {row['nobody']:.3f} relevance {row['relevance_personal']:.3f} title found {row['title_found']:.2f} "
            f"value {row['value']:.3f}"
        )

    def _check(self, adapter: IcgAdapter) -> Check:
        return check_adapter(self.studio, adapter, self.aside, self.audience, self.settings.seed)

    def _batch(self) -> Any:
        times = self.studio.denoiser.num_train_timesteps
        return draw_batch(self.learned, self.audience, self.targets, self.settings, self.progress.step, times)

    def _averaged(self) -> dict[str, Tensor]:
        return {**self.adapter.state_dict(), **self.bench.average}

    @staticmethod
    def _pace(done: int, total: int) -> float:
        """Linear warm-up, then a half cosine down to a tenth."""
        if done < _WARM_UP_STEPS:
            return (done + 1) / _WARM_UP_STEPS
        share = (done - _WARM_UP_STEPS) / max(1, total - _WARM_UP_STEPS)
        return _LAST_PACE + (1 - _LAST_PACE) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

    def _keep(self) -> None:
        """Save where it is due, or where a stop is asked for."""
        if self.progress.step % self.settings.checkpoint_every == 0 or self.progress.step == self.total_steps:
            self._save()
        self.stop(self._save)

    def _save(self) -> None:
        tensors = {f"bench.{name}": part for name, part in self.bench.tensors().items()}
        tensors |= {f"start.{name}": part for name, part in self.start.state_dict().items()}
        tensors |= {f"best.{name}": part for name, part in self.best.state_dict().items()}
        state = vars(self.progress) | {
            "identity": self.identity,
            "bench_steps": self.bench.steps,
            "moments": self.scale.moments,
        }
        save_checkpoint(self.folder, tensors, state)

    def _resume(self) -> None:
        found = load_checkpoint(self.folder, self.identity)
        if found is None:
            return
        tensors, state = found

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        self.bench.take_up(part("bench."), int(state["bench_steps"]))
        self.start.load_state_dict(part("start."))
        self.best.load_state_dict(part("best."))
        self.scale.moments = state["moments"]
        self.progress = Progress(**{name: state[name] for name in vars(self.progress)})
        self.say(f"taking up a former run at step {self.progress.step}")
