"""The adapter's training: alignment, a search for looks, then rewards; rolled back when a canary moves on items set aside.

Resumable at any step to the same weights: everything random comes from (seed, step), the rest is in the checkpoint.
Knows models and a folder; no store.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.alignment import alignment_loss
from icg_tasks.models.icg.audience import Audience
from icg_tasks.models.icg.batch import Batch, draw_batch
from icg_tasks.models.icg.budget import estimate, require_room
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.check import Check, check_adapter
from icg_tasks.models.icg.gate import broken_canaries, value
from icg_tasks.models.icg.liked import liked_statistics
from icg_tasks.models.icg.objective import Objective, as_row
from icg_tasks.models.icg.progress import Progress, Teller, pace
from icg_tasks.models.icg.record import Record, sample_covers
from icg_tasks.models.icg.search import Imitation, LookSearch
from icg_tasks.models.icg.state import TrainingState
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.icg.targets import Targets
from icg_tasks.models.rewards.chosen import reward_weights
from icg_tasks.models.rewards.table import SCALE_FLOORS
from icg_tasks.models.training.bench import Bench
from icg_tasks.models.training.processes import Processes
from icg_tasks.models.training.running import RunningScale

_MAX_ROLLBACKS = 2
_ALIGNMENT_PACE = 4.0
_SEARCH_PACE = 4.0
_SEARCH_ROWS = 2
"""Times a reward step's rows: no cover is drawn in a step that imitates."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """``adapter`` wears the best averaged weights; the checks are of it and of the adapter that the rewards began with."""

    adapter: IcgAdapter
    start: IcgAdapter
    start_check: Check
    best_check: Check
    liked: dict[str, float]  # image statistics of real covers that the segments prefer
    progress: Progress


class AdapterTraining:
    """One training in one folder, by one process or by several that each draw their own rows."""

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
        processes: Processes | None = None,
    ) -> None:
        self.studio, self.settings, self.audience = studio, settings, audience
        self.learned, self.aside = items
        self.say, self.stop = say, stop
        self.processes = processes or Processes()
        self.record = Record(folder.parent / "record") if self.processes.is_main else None
        device = studio.compute.device
        self.adapter = adapter.to(device).requires_grad_(True).train()
        self.start = copy.deepcopy(self.adapter).requires_grad_(False).eval()
        self.best = copy.deepcopy(self.start)
        self.bench = Bench(
            self.adapter,
            learning_rate=settings.learning_rate,
            average_decay=settings.ema_decay,
            share=self.processes.average_gradients,
        )
        scale = RunningScale(SCALE_FLOORS)
        self.objective = Objective(
            studio=studio, start=self.start, covers=self.learned, scale=scale, settings=settings, processes=self.processes
        )
        self.state = TrainingState(folder, identity, self.bench, self.start, self.best, scale)
        self._best_check: Check | None = None  # not saved: a resumed run checks the best again
        self.alignment_steps = settings.alignment_steps if aligns else 0
        self.search_end = self.alignment_steps + (settings.search_steps if settings.search_tastes else 0)
        self.total_steps = self.search_end + settings.reward_steps
        self.targets = Targets(self.learned, studio.judges.taste)
        self.liked = liked_statistics(studio, self.learned, audience)
        self.teller = Teller(total=self.total_steps, say=say)

    @property
    def progress(self) -> Progress:
        """Where it is."""
        return self.state.progress

    def run(self) -> Trained:
        """Train to the end; raises Interrupted after saving where a stop is asked for."""
        if self.state.resume(self.processes):
            self.say(f"taking up a former run at step {self.progress.step}")
        if self.progress.step < self.total_steps:
            self._prepare()
        if self.progress.step < self.alignment_steps:
            self._align()
        start_check = self._check(self.start)
        if not self.progress.checks:
            self.progress.best_value = value(start_check, self.settings)
            self._note(start_check, [])
        if self.progress.step < self.search_end:
            self._search(start_check)
        while self.progress.step < self.total_steps and self.progress.rollbacks < _MAX_ROLLBACKS:
            self._reward_step()
            done = self.progress.step - self.search_end
            if done % self.settings.evaluate_every == 0 or self.progress.step == self.total_steps:
                self._judge(start_check)
            self._keep()
        best_check = start_check if self.progress.best_step == 0 else self._best_check or self._check(self.best)
        return Trained(
            adapter=self.best,
            start=self.start,
            start_check=start_check,
            best_check=best_check,
            liked=self.liked,
            progress=self.progress,
        )

    def _prepare(self) -> None:
        """Refuse what will not fit, before hours are spent; raises SettingsError."""
        self.studio.denoiser.checkpoint_gradients(self.settings.gradient_checkpointing)
        budget = estimate(self.objective, self.adapter, self._batch())
        self.say(f"a reward step needs about {budget.told()}")
        require_room(budget, self.settings, self.studio.compute.device)
        self.teller.begin(self.progress.step)

    def _align(self) -> None:
        """Learn the denoiser's language; the anchor and the first best are what comes out."""
        if self.progress.step == 0:
            self.adapter.start_at(self.studio.denoiser.encode_text(self.learned.titles))
        while self.progress.step < self.alignment_steps:
            loss, parts = alignment_loss(self.studio, self.adapter, self._batch(), self.learned, self.processes)
            self._advance(loss, parts, _ALIGNMENT_PACE * pace(self.progress.step, self.alignment_steps))
            if self.progress.step == self.alignment_steps:
                self.start.load_state_dict(self._averaged())
                self.best.load_state_dict(self._averaged())
            self._keep()

    def _search(self, start_check: Check) -> None:
        """Look for better looks by drawing and learn to ask for them; without gain, the rewards begin where they would have."""
        lessons = self._lessons()
        while self.progress.step < self.search_end:
            self._imitation_step(lessons)
            if self.progress.step == self.search_end:
                self._judge(start_check, of_rewards=False)
                if self.progress.best_step != self.progress.step:
                    self._return_to_best()
            self._keep()

    def _lessons(self) -> Imitation:
        search = LookSearch(self.studio, self.start, self.audience, self.settings, self.processes)
        self.say(f"looking for looks: covers for {self.settings.search_tastes} tastes")
        return search.lessons(search.find(self.learned, lambda: self.stop(self._save)), self.learned)

    def _imitation_step(self, lessons: Imitation) -> None:
        rng = np.random.default_rng([self.settings.seed, self.progress.step])
        loss, parts = lessons.loss(self.adapter, rng, _SEARCH_ROWS * self.settings.batch_size, self.processes)
        done = self.progress.step - self.alignment_steps
        self._advance(loss, parts, _SEARCH_PACE * pace(done, self.settings.search_steps))

    def _reward_step(self) -> None:
        batch, done = self._batch(), self.progress.step - self.search_end
        factor = self.progress.caution * pace(done, self.settings.reward_steps)
        rollout = self.objective.explore(self.adapter, batch)
        for _ in range(self.settings.policy_updates - 1 if rollout else 0):
            self.bench.step(self.objective.loss(self.adapter, batch, rollout)[0], factor)
        self._advance(*self.objective.loss(self.adapter, batch, rollout), factor)

    def _advance(self, loss: Tensor, parts: dict[str, float], factor: float) -> None:
        norm = self.bench.step(loss, factor)
        self.progress.step += 1
        figures = self.processes.mean_figures({"loss": float(loss.detach())} | parts)
        row = {"step": float(self.progress.step), "gradient": norm if math.isfinite(norm) else -1.0} | figures
        self.progress.curves.append(as_row(row))
        self.teller.step(self.progress.step, {name: figures[name] for name in parts})
        if self.record is not None:
            self._show(self.record, row)

    def _show(self, record: Record, row: dict[str, float]) -> None:
        """For those who watch: this step's figures, and every so often covers of the averaged weights."""
        step, every = self.progress.step, self.settings.images_every
        record.figures(step, "step", row)
        if every and (step % every == 0 or step == self.total_steps):
            shown = copy.deepcopy(self.start)
            shown.load_state_dict(self._averaged())
            record.covers(step, sample_covers(self.studio, shown, self.aside, self.audience))

    def _judge(self, start_check: Check, *, of_rewards: bool = True) -> None:
        """Check the averaged weights: keep them if they are the best yet, go back to the best if a canary has moved.

        Rewards that moved one go on with half the pace; a search that did was in vain, and says nothing of their pace.
        """
        candidate = copy.deepcopy(self.start)
        candidate.load_state_dict(self._averaged())
        found = self._check(candidate)
        broken = broken_canaries(found, start_check, self.liked)
        self._note(found, broken)
        if broken and self.settings.canary_rollback:
            self.progress.rollbacks += of_rewards
            self.progress.caution /= 2 if of_rewards else 1
            self._return_to_best()
            self.say(f"step {self.progress.step}: back to step {self.progress.best_step}, since {'; '.join(broken)}")
        elif value(found, self.settings) > self.progress.best_value:
            self.progress.best_value, self.progress.best_step = value(found, self.settings), self.progress.step
            self.best.load_state_dict(candidate.state_dict())
            self._best_check = found

    def _return_to_best(self) -> None:
        self.adapter.load_state_dict(self.best.state_dict())
        for name, part in self.bench.average.items():
            part.copy_(self.best.get_parameter(name).detach())

    def _note(self, check: Check, broken: list[str]) -> None:
        row = {"step": self.progress.step, "value": round(value(check, self.settings), 5), "broken": broken} | check.to_json()
        self.progress.checks.append(row)
        if self.record is not None:
            self.record.figures(self.progress.step, "check", row)
        self.say(
            f"check at {row['step']}: own {row['own']:.3f} swapped {row['swapped']:.3f} plain {row['plain']:.3f} "
            f"nobody {row['nobody']:.3f} relevance {row['relevance_personal']:.3f} title found {row['title_found']:.2f} "
            f"value {row['value']:.3f}"
        )

    def _check(self, adapter: IcgAdapter) -> Check:
        rewards = tuple(reward_weights(self.settings))
        return check_adapter(self.studio, adapter, self.aside, self.audience, self.settings.seed, self.processes, rewards)

    def _batch(self) -> Batch:
        times, step = self.studio.denoiser.num_train_timesteps, self.progress.step
        return draw_batch(self.learned, self.audience, self.targets, self.settings, step, times, self.processes)

    def _averaged(self) -> dict[str, Tensor]:
        return {**self.adapter.state_dict(), **self.bench.average}

    def _keep(self) -> None:
        """Save where it is due, or where a stop is asked for."""
        if self.progress.step % self.settings.checkpoint_every == 0 or self.progress.step == self.total_steps:
            self._save()
        self.stop(self._save)

    def _save(self) -> None:
        self.state.save(self.processes)
