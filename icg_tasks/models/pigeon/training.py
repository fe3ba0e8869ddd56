"""Pigeon's training: masked preference reconstruction, then pairwise preference alignment on covers that it wrote itself.

Resumable at any step to the same weights: everything random comes from (seed, stage, step), the rest is in the checkpoint.
Stage 1 ends early when windows set aside are recovered no better; stage 2 goes back to the best weights when a canary moves.
Knows models and a folder; no store. Legend: B windows of a step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from icg_tasks.models.icg.progress import Teller, pace
from icg_tasks.models.icg.record import Record
from icg_tasks.models.pigeon.atelier import Atelier
from icg_tasks.models.pigeon.budget import estimate, require_room
from icg_tasks.models.pigeon.check import Check, aside_loss, check_pigeon
from icg_tasks.models.pigeon.gate import broken_canaries, score, surely_better
from icg_tasks.models.pigeon.losses import preference_loss, reconstruction_loss
from icg_tasks.models.pigeon.model import Pigeon
from icg_tasks.models.pigeon.pairs import log_chances, make_pairs
from icg_tasks.models.pigeon.progress import DONE, PREFERENCE, RECONSTRUCTION, Progress, TrainingState
from icg_tasks.models.pigeon.windows import Windows
from icg_tasks.models.training.bench import Bench
from icg_tasks.models.training.processes import Processes

_MAX_ROLLBACKS = 2
_STAGE_NUMBERS = {RECONSTRUCTION: 1, PREFERENCE: 2}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """``pigeon`` wears the best averaged weights; checks of them, of stage 1's and of the weights it began with."""

    pigeon: Pigeon
    reconstructed: dict[str, Tensor]  # stage 1's best weights
    start_check: Check
    best_check: Check
    progress: Progress
    num_pairs: int


class PigeonTraining:
    """One training in one folder, by one process or by several that each take their own rows of a batch."""

    def __init__(
        self,
        atelier: Atelier,
        pigeon: Pigeon,
        windows: tuple[Windows, Windows],
        *,
        folder: Path,
        identity: str,
        say: Callable[[str], None],
        stop: Callable[[Callable[[], None]], None],
        processes: Processes | None = None,
    ) -> None:
        self.atelier, self.pigeon, self.settings = atelier, pigeon, atelier.settings
        self.learned, self.aside = windows
        self.say, self.stop = say, stop
        self.processes = processes or Processes()
        self.record = Record(folder.parent / "record") if self.processes.is_main else None
        self.pigeon.requires_grad_(False).eval()
        self.state = TrainingState(folder, identity, pigeon.trained())
        self.bench = self._bench(masks=True)
        self.teller = Teller(total=self.settings.reconstruction_steps + self.settings.preference_steps, say=say)

    @property
    def progress(self) -> Progress:
        """Where it is."""
        return self.state.progress

    def run(self) -> Trained:
        """Train to the end; raises Interrupted after saving where a stop is asked for."""
        resumed = self.state.resume(lambda masks: self._bench(masks=masks), self.processes)
        if resumed is not None:
            self.bench = resumed
            worn = {name: part.detach().clone() for name, part in self.pigeon.trained().items() if part.requires_grad}
            self.pigeon.wear(self.state.best | worn)  # masks that no longer learn are the best ones
            self.say(f"taking up a former run at step {self.progress.step} of {self.progress.stage}")
        budget = estimate(self.atelier, self.pigeon, self.learned)
        self.say(f"a step needs about {budget.told()}")
        require_room(budget, self.settings, self.atelier.tokens.compute.device)
        self.teller.begin(self.progress.total_steps)
        start_check = self._check_of(self.state.start)
        if not self.progress.checks:
            self.progress.best_value = -start_check.loss
            self._note(start_check, [])
        while self.progress.stage == RECONSTRUCTION:
            self._reconstruct()
        reference = self._check_of(self.state.best) if self.progress.stage == PREFERENCE else start_check
        while self.progress.stage == PREFERENCE:
            self._prefer(reference)
        self.pigeon.wear(self.state.best)
        return Trained(
            pigeon=self.pigeon.eval(),
            reconstructed=self.state.reconstructed,
            start_check=start_check,
            best_check=self._check_of(self.state.best),
            progress=self.progress,
            num_pairs=len(self.state.pairs) if self.state.pairs is not None else 0,
        )

    def _reconstruct(self) -> None:
        """One step of stage 1, or its end."""
        steps = self.settings.reconstruction_steps
        if self.progress.step >= steps or self.progress.misses >= self.settings.patience:
            self._begin_preference()
            return
        rng = np.random.default_rng([self.settings.seed, _STAGE_NUMBERS[RECONSTRUCTION], self.progress.step])
        size = self.settings.batch_size * self.processes.count
        rows = rng.choice(len(self.learned), size=size, replace=len(self.learned) < size)
        ratios, seeds = rng.random(size), rng.integers(2**62, size=size).tolist()
        own = self.processes.own(size)
        asked = self.atelier.covers.asked(self.learned.part(rows[own].tolist()))
        plan = self.atelier.plan(torch.from_numpy(ratios[own]), seeds[own], draws=True)
        masks = self.pigeon.draw_masks(asked, plan)
        loss = reconstruction_loss(self.pigeon.tokens, self.pigeon.prompt(asked, masks), asked.reference_BN)
        self._advance(loss, {}, pace(self.progress.step, steps))
        if self.progress.step % self.settings.evaluate_every == 0 or self.progress.step == steps:
            self._judge_reconstruction()
        self._keep()

    def _judge_reconstruction(self) -> None:
        """Keep the averaged weights if they recover windows set aside better than any before."""
        before = self._wearing(self.bench.average)
        found = aside_loss(self.atelier, self.pigeon, self.aside, self.processes)
        self.pigeon.wear(before)
        better = -found > self.progress.best_value
        self.progress.misses = 0 if better else self.progress.misses + 1
        self.progress.checks.append({"step": self.progress.total_steps, "stage": RECONSTRUCTION, "loss": round(found, 5)})
        self.say(f"step {self.progress.total_steps}: loss aside {found:.4f}{'' if better else ', no better'}")
        if better:
            self.progress.best_value, self.progress.best_step = -found, self.progress.total_steps
            self._keep_as_best()

    def _begin_preference(self) -> None:
        """Pairs by the best weights of stage 1, which stage 2 starts from; the masks stay as they are from here on."""
        self.pigeon.wear(self.state.best)
        self.state.reconstructed = {name: part.clone() for name, part in self.state.best.items()}
        if self.settings.preference_steps > 0:
            self.say("writing candidates for pairs")
            stop = partial(self.stop, self._save)
            self.state.pairs = make_pairs(self.atelier, self.pigeon, self.learned, self.processes, stop)
            self.say(f"{len(self.state.pairs)} pairs of {min(self.settings.pair_windows, len(self.learned))} windows")
        self.progress.step, self.progress.misses = 0, 0
        if self.state.pairs is None or not len(self.state.pairs):
            self.progress.stage, self.state.pairs = DONE, None
        else:
            self.progress.stage = PREFERENCE
            self.bench = self._bench(masks=False)
        self._save()

    def _prefer(self, reference: Check) -> None:
        """One step of stage 2; ``reference``: the check of stage 1's weights."""
        pairs, steps = self.state.pairs, self.settings.preference_steps
        if pairs is None or self.progress.step >= steps or self.progress.rollbacks >= _MAX_ROLLBACKS:
            self.progress.stage = DONE
            self._save()
            return
        if self.progress.step == 0 and self.progress.rollbacks == 0:
            self.progress.best_value = score(reference, self.settings)
        rng = np.random.default_rng([self.settings.seed, _STAGE_NUMBERS[PREFERENCE], self.progress.step])
        size = self.settings.batch_size * self.processes.count
        rows = rng.choice(len(pairs), size=size, replace=len(pairs) < size)[self.processes.own(size)].tolist()
        asked = self.atelier.covers.asked(self.learned.part(pairs.window_P[rows].tolist()))
        policy = log_chances(self.pigeon, asked, pairs.masks(rows), pairs.chosen_PN[rows], pairs.rejected_PN[rows])
        loss = preference_loss(policy, pairs.start(rows), self.settings.preference_beta)
        right = float((policy.margin_B > pairs.start(rows).margin_B).float().mean())
        self._advance(loss, {"right": right}, self.progress.caution * pace(self.progress.step, steps))
        if self.progress.step % self.settings.evaluate_every == 0 or self.progress.step == steps:
            self._judge_preference(reference)
        self._keep()

    def _judge_preference(self, reference: Check) -> None:
        """Keep the averaged weights if their covers score best and surely better than stage 1's; back to the best if a canary
        has moved."""
        before = self._wearing(self.state.best | self.bench.average)
        found = check_pigeon(self.atelier, self.pigeon, self.aside, self.processes)
        self.pigeon.wear(before)
        broken = broken_canaries(found, reference)
        self._note(found, broken)
        if broken:
            self.progress.rollbacks += 1
            self.progress.caution /= 2
            self.pigeon.wear(self.state.best)
            for name, part in self.bench.average.items():
                part.copy_(self.state.best[name])
            self.say(f"step {self.progress.total_steps}: back to step {self.progress.best_step}, since {'; '.join(broken)}")
        elif score(found, self.settings) > self.progress.best_value and surely_better(found, reference, self.settings):
            self.progress.best_value, self.progress.best_step = score(found, self.settings), self.progress.total_steps
            self._keep_as_best()

    def _advance(self, loss: Tensor, parts: dict[str, float], factor: float) -> None:
        norm = self.bench.step(loss, factor)
        self.progress.step += 1
        self.progress.total_steps += 1
        figures = self.processes.mean_figures({"loss": float(loss.detach())} | parts)
        row = {"step": float(self.progress.total_steps), "gradient": norm if np.isfinite(norm) else -1.0} | figures
        self.progress.curves.append({name: round(value, 6) for name, value in row.items()})
        self.teller.step(self.progress.total_steps, figures)
        if self.record is not None:
            self.record.figures(self.progress.total_steps, self.progress.stage, row)

    def _note(self, check: Check, broken: list[str]) -> None:
        row = {"step": self.progress.total_steps, "stage": self.progress.stage, "broken": broken} | check.to_json()
        self.progress.checks.append(row)
        if self.record is not None:
            self.record.figures(self.progress.total_steps, "check", row)
        self.say(
            f"check at {row['step']}: loss {row['loss']:.4f} own {row['own']:.3f} swapped {row['swapped']:.3f} "
            f"plain {row['plain']:.3f} reference {row['reference']:.3f}"
        )

    def _check_of(self, weights: dict[str, Tensor]) -> Check:
        before = self._wearing(weights)
        found = check_pigeon(self.atelier, self.pigeon, self.aside, self.processes)
        self.pigeon.wear(before)
        return found

    def _wearing(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put weights on; returns those that were worn."""
        before = {name: part.detach().clone() for name, part in self.pigeon.trained().items()}
        self.pigeon.wear(weights)
        return before

    def _keep_as_best(self) -> None:
        for name, part in self.bench.average.items():
            self.state.best[name].copy_(part)

    def _bench(self, *, masks: bool) -> Bench:
        """Stage 1's, where masks learn too, or stage 2's."""
        self.pigeon.learn(masks=masks)
        settings = self.settings
        return Bench(
            self.pigeon,
            learning_rate=settings.reconstruction_learning_rate if masks else settings.preference_learning_rate,
            average_decay=settings.ema_decay,
            share=self.processes.average_gradients,
        )

    def _keep(self) -> None:
        """Save where it is due, or where a stop is asked for."""
        if self.progress.step % self.settings.checkpoint_every == 0:
            self._save()
        self.stop(self._save)

    def _save(self) -> None:
        self.state.save(self.bench, self.processes)
