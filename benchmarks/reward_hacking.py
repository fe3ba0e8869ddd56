"""What the guards are for: a reward that is easily hacked (dark ink on the page), trained with all guards and with none.

Adds a reward "ink" to the table: ten times the mean darkness of a cover. Without guards (denoising, anchor, dispersion, cap,
averaged weights, canaries and their rollback) the training blackens covers until nobody tells what they show; with them it is
rolled back in time. Prints a table and draws how far each got; needs a day (``make demo``). On the tiny stack 5 to 10 minutes.
Run: ``python -m benchmarks.reward_hacking --run-date 2026-03-10 [--steps 60] [--weight 3] [--learning-rate 1e-3] [--set …]``.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.ground import Ground, day_context, day_parser, draw, open_ground, preference_of, quiet, recognised, relevance_of
from benchmarks.plots import line_plot
from benchmarks.results import write_section
from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.training import AdapterTraining
from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.table import REWARDS, SCALE_FLOORS, Reward
from icg_tasks.models.training.threads import one_thread

SHOWN = {"title_found": "covers found by their title", "relevance_personal": "relevance", "dark_share": "dark pixels"}


def ink_reward(images_BCHW: Tensor, context: RewardContext) -> Tensor:  # noqa: ARG001  a reward is asked with a context
    """Ten times the mean darkness [B]; differentiable, and worth nothing."""
    return 10 * (1 - images_BCHW).mean(dim=(1, 2, 3))


class Ink(Reward):
    """The line of a table for a reward that has no file of its own."""

    @property
    def function(self) -> Callable[[Tensor, RewardContext], Tensor]:
        """The reward itself."""
        return ink_reward


@dataclass(frozen=True, kw_only=True)
class Course:
    """How one training went, and what it would have served."""

    name: str
    checks: list[dict[str, Any]]
    rollbacks: int
    steps: int
    served: IcgAdapter


def unguarded(settings: AdapterSettings) -> AdapterSettings:
    """All guards off that are settings."""
    return replace(
        settings,
        denoising_weight=0.0,
        anchor_weight=0.0,
        dispersion_weight=0.0,
        reward_cap=1e6,
        ema_decay=0.0,
        canary_rollback=False,
    )


def course(ground: Ground, name: str, settings: AdapterSettings) -> Course:
    """Train; with guards the best checkpoint serves, without them the last weights do."""
    with tempfile.TemporaryDirectory() as folder:
        training: AdapterTraining = ground.training(settings, folder)
        trained = training.run()
    progress = trained.progress
    served = trained.adapter if settings.canary_rollback else training.adapter.eval().requires_grad_(False)
    return Course(name=name, checks=progress.checks, rollbacks=progress.rollbacks, steps=progress.step, served=served)


def measure(ground: Ground, name: str, adapter: IcgAdapter) -> dict[str, float]:
    """Covers of items set aside for the largest segments, by judges that no training touched and some that it did."""
    users = torch.from_numpy(ground.audience.segments_SV[:4])
    items = ground.aside.part(list(range(min(12, len(ground.aside)))))
    images = draw(ground.studio, adapter, items, users)
    print(f"{name}: {len(items)} items for {len(users)} segments", flush=True)
    return {
        "ink": float(ink_reward(images.flatten(0, 1), None).mean()),  # type: ignore[arg-type]
        "preference": float(preference_of(ground.studio, images, items.titles, users).mean()),
        "relevance": float(relevance_of(ground.studio, images, items.titles).mean()),
        "subject_recognised": recognised(ground.context, images, items.item_ids),
    }


def report(ground: Ground, courses: list[Course], title: str) -> str:
    """The table and the plots, as Markdown."""
    rows = [("start", "", "", measure(ground, "start", ground.adapter))]
    rows += [(one.name, str(one.steps), str(one.rollbacks), measure(ground, one.name, one.served)) for one in courses]
    names = list(rows[0][3])
    lines = [f"| arm | steps | rollbacks | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    for name, steps, rollbacks, figures in rows:
        lines.append(f"| {name} | {steps} | {rollbacks} | {' | '.join(f'{figures[key]:.3f}' for key in names)} |")
    for key, words in SHOWN.items():
        curves = {one.name: [(row["step"], row[key]) for row in one.checks] for one in courses}
        lines += ["", line_plot(f"reward_hacking_{key}", f"{title}: {words}", "reward step", curves)]
    moved = [(one.name, row) for one in courses for row in one.checks if row["broken"]]
    broken = [f"- {name}, step {row['step']}: {'; '.join(row['broken'])}" for name, row in moved]
    return "\n".join([*lines, "", "Canaries that moved:", "", *(broken or ["- none"])])


def main() -> None:
    """Train twice, compare, write."""
    parser = day_parser(__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--weight", type=float, default=3.0, help="of the hackable reward, against 1 of the preference")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of both arms; four times the daily training's")
    arguments = parser.parse_args()
    REWARDS["ink"] = Ink(name="ink", differentiable=True, floor=0.1)
    SCALE_FLOORS["ink"] = 0.1
    arguments.overrides.append(f"adapter.more_rewards=ink={arguments.weight}")
    context = day_context(arguments)
    every = max(1, arguments.steps // 12)
    settings = quiet(
        context.settings.adapter,
        reward_steps=arguments.steps,
        evaluate_every=every,
        learning_rate=arguments.learning_rate,
    )
    with one_thread():
        ground = open_ground(context)
        courses = [course(ground, "without guards", unguarded(settings)), course(ground, "with guards", settings)]
        text = report(ground, courses, "Reward hacking")
    print(text)
    write_section("Reward hacking: with and without guards", text)


if __name__ == "__main__":
    main()
