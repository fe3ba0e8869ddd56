"""How many denoising steps should carry the reward's gradient? K = 1, 2, 3, 4: what is reached by equal steps and equal time.

Trains the day's adapter anew for each K, with the same batches for all K of a seed. Value is what checkpoints are chosen by, on
items set aside; time is that of training steps alone (a processor's own seconds, so that other work on the machine does not
count); memory is the estimate of what a step keeps for its backward pass, and on a GPU the measured peak. Needs a day
(``make demo``); on the tiny stack about 2 s x steps x 4 x seeds.
Run: ``python -m benchmarks.gradient_steps --run-date 2026-03-10 [--steps 40] [--most 4] [--seeds 3] [--set store=…]``.
"""

import tempfile
import time
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.ground import Ground, day_context, day_parser, open_ground, quiet
from benchmarks.plots import line_plot
from benchmarks.results import write_section
from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.budget import estimate
from icg_tasks.models.icg.training import AdapterTraining
from icg_tasks.models.training.threads import one_thread

SHOWN = ("step", "seconds", "value", "own", "swapped", "relevance_personal")


class Timed(AdapterTraining):
    """Knows how long its steps alone took at each check."""

    seconds = 0.0

    def _reward_step(self) -> None:
        cuda = self.studio.compute.device.type == "cuda"
        clock = time.perf_counter if cuda else time.process_time
        began = clock()
        super()._reward_step()
        if cuda:
            torch.cuda.synchronize()
        self.seconds += clock() - began

    def _note(self, check, broken) -> None:  # type: ignore[no-untyped-def]
        super()._note(check, broken)
        self.progress.checks[-1]["seconds"] = self.seconds


@dataclass(frozen=True, kw_only=True)
class Study:
    """One K; its checks are means over the seeds."""

    graded: int
    seconds_per_step: float
    kept_megabytes: float
    peak_megabytes: float
    checks: list[dict[str, float]]
    values: list[float]  # at the end, seed by seed

    def value_at(self, seconds: float) -> float:
        """Between checks in a straight line."""
        return float(np.interp(seconds, [row["seconds"] for row in self.checks], [row["value"] for row in self.checks]))


def study(ground: Ground, settings: AdapterSettings, seeds: int) -> Study:
    """Train with ``settings.reward_gradient_steps`` graded steps, once for each seed from ``settings.seed`` on."""
    cuda = ground.studio.compute.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    courses, steps = [], 0
    for seed in range(settings.seed, settings.seed + seeds):
        with tempfile.TemporaryDirectory() as folder:
            training = ground.training(quiet(settings, seed=seed), folder, Timed)
            budget = estimate(training.objective, training.adapter, training._batch())
            progress = training.run().progress
            courses.append(progress.checks)
            steps += progress.step
    return Study(
        graded=settings.reward_gradient_steps,
        seconds_per_step=sum(course[-1]["seconds"] for course in courses) / max(1, steps),
        kept_megabytes=(budget.rewards + budget.kept) / 2**20,
        peak_megabytes=torch.cuda.max_memory_allocated() / 2**20 if cuda else float("nan"),
        checks=[{name: float(np.mean([row[name] for row in rows])) for name in SHOWN} for rows in zip(*courses, strict=False)],
        values=[course[-1]["value"] for course in courses],
    )


def report(studies: list[Study]) -> str:
    """Table and plots."""
    shortest = min(one.checks[-1]["seconds"] for one in studies)
    lines = [
        "| K | s per step | kept for backward (MB) | peak on the GPU (MB) | value, equal steps | seed by seed | "
        f"value after {shortest:.0f} s of steps | own | own less swapped | relevance |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in studies:
        last, each = one.checks[-1], ", ".join(f"{value:.3f}" for value in one.values)
        lines.append(
            f"| {one.graded} | {one.seconds_per_step:.2f} | {one.kept_megabytes:.0f} | {one.peak_megabytes:.0f} | "
            f"{last['value']:.3f} | {each} | {one.value_at(shortest):.3f} | {last['own']:.3f} | "
            f"{last['own'] - last['swapped']:.3f} | {last['relevance_personal']:.3f} |"
        )
    start = studies[0].checks[0]["value"]
    by_step = {f"K = {one.graded}": [(row["step"], row["value"]) for row in one.checks] for one in studies}
    by_time = {f"K = {one.graded}": [(row["seconds"], row["value"]) for row in one.checks] for one in studies}
    return "\n".join(
        [
            *lines,
            "",
            f"The adapter that all began with has value {start:.3f}.",
            "",
            line_plot("gradient_steps_by_step", "Value by graded steps", "reward step", by_step),
            line_plot("gradient_steps_by_time", "Value by time", "seconds of training steps", by_time),
        ]
    )


def main() -> None:
    """Train for each K, compare, write."""
    parser = day_parser(__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=4, help="largest K; at most adapter.denoising_steps")
    arguments = parser.parse_args()
    context = day_context(arguments)
    base = quiet(context.settings.adapter, reward_steps=arguments.steps, evaluate_every=max(1, arguments.steps // 6))
    with one_thread():
        ground = open_ground(context)
        most = min(arguments.most, base.denoising_steps)
        studies = [study(ground, quiet(base, reward_gradient_steps=graded), arguments.seeds) for graded in range(1, most + 1)]
    text = report(studies)
    print(text)
    write_section("How many denoising steps carry the gradient", text)


if __name__ == "__main__":
    main()
