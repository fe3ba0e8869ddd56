"""What each part of ICG is worth: the day's adapter trained anew without it, judged by the oracle on items nobody learned on.

Each arm draws the same held-out items for the largest segments from the same noise, with the steps that covers are served with;
differences to the whole method are paired, with intervals resampled by item. A finished arm is kept in ``--keep`` and not done
again. Needs a day of the embedded world (``make demo``) and ICG_PSEUDONYM_KEY as in its simulation; on the tiny stack 2 minutes
per trained arm. Run: ``python -m benchmarks.ablations --run-date 2026-03-10 [--items 16] [--keep FOLDER] [--set …]``.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ablation_arms import Telling, by_adapter, caption_only, history_average, prompt_writer
from benchmarks.ground import Ground, day_context, day_parser, open_ground, quiet, recognised
from benchmarks.held_out import HeldOut, read_held_out
from benchmarks.results import write_section
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.fresh import fresh_adapter
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.icg.training import AdapterTraining
from icg_tasks.models.statistics import group_counts, interval, weighted_mean
from icg_tasks.models.training.threads import one_thread

METRICS = ("logit", "probability", "preference", "relevance", "aesthetic", "subject")
WHOLE = "whole method"
Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to make covers, and what leaving the part out should cost."""

    name: str
    claim: str
    telling: Callable[[], Telling]


def trained(ground: Ground, *, studio: Studio | None = None, afresh: bool = False, **changes: Any) -> Telling:
    """The day's training with other settings; ``afresh``: no warm start (``alignment_steps`` says how long it may learn)."""
    settings = quiet(ground.context.settings.adapter, **changes)
    base = studio or ground.studio
    width = ground.audience.segments_SV.shape[1]
    adapter = fresh_adapter(base, settings, width) if afresh else ground.adapter
    with tempfile.TemporaryDirectory() as folder:
        training: AdapterTraining = replace(ground, studio=base, adapter=adapter).training(settings, folder, aligns=afresh)
        found = training.run()
    best: IcgAdapter = found.adapter if settings.canary_rollback else training.adapter
    return by_adapter(base, best.eval().requires_grad_(False))


def arms(ground: Ground, shown: HeldOut, afresh_steps: int) -> list[Arm]:
    """The whole method first; then what it is compared with."""
    whole: dict[str, Telling] = {}

    def full() -> Telling:
        whole.setdefault("it", trained(ground))
        return whole["it"]

    fresh: dict[str, Any] = {"afresh": True, "search_tastes": 0, "evaluate_every": 10_000}
    start = by_adapter(ground.studio, ground.adapter)
    return [
        Arm(name=WHOLE, claim="", telling=full),
        Arm(name="start of the day", claim="no rewards at all: less preference", telling=lambda: start),
        Arm(name="no search for looks", claim="less preference", telling=lambda: trained(ground, search_tastes=0)),
        Arm(name="search, no reward steps", claim="less preference", telling=lambda: trained(ground, reward_steps=0)),
        Arm(name="no preference reward", claim="less preference", telling=lambda: trained(ground, preference_weight=0.0)),
        Arm(name="no relevance reward", claim="less relevance", telling=lambda: trained(ground, relevance_weight=0.0)),
        Arm(name="no aesthetic reward", claim="less aesthetic", telling=lambda: trained(ground, aesthetic_weight=0.0)),
        Arm(name="no user refinement", claim="nobody's cover for all", telling=lambda: replace(full(), scale=0.0)),
        Arm(name="history average as image prompt", claim="less preference", telling=lambda: history_average(full(), ground)),
        Arm(name="hand-written prompt", claim="less preference", telling=lambda: prompt_writer(ground, shown)),
        Arm(
            name="fresh adapter, short alignment",
            claim="the ground of the next two",
            telling=lambda: trained(ground, **fresh, alignment_steps=afresh_steps),
        ),
        Arm(
            name="fresh adapter, plain caption for meta tokens",
            claim="less relevance",
            telling=lambda: trained(ground, **fresh, alignment_steps=afresh_steps, studio=caption_only(ground.studio)),
        ),
        Arm(
            name="fresh adapter, no alignment phase",
            claim="no picture of anything",
            telling=lambda: trained(ground, **fresh, alignment_steps=0, reward_steps=afresh_steps // 2, canary_rollback=False),
        ),
    ]


def measure(ground: Ground, shown: HeldOut, telling: Telling) -> dict[str, list[list[float]]]:
    """Every metric of every (item, segment)."""
    images = shown.draw(telling, ground.context.settings.covers.steps)
    found = shown.judged(images)
    subject = np.array(
        [[recognised(ground.context, images[row : row + 1, [column]], [item]) for column in range(images.shape[1])]
         for row, item in enumerate(shown.items.item_ids)]
    )  # fmt: skip
    return {name: values.tolist() for name, values in (found | {"subject": subject}).items()}


def report(rows: dict[str, dict[str, list[list[float]]]], listed: list[Arm]) -> str:
    """Means, and paired differences to the whole method with 95 % intervals."""
    whole = {name: np.array(values) for name, values in rows[WHOLE].items()}
    lines = [f"| arm | should cost | {' | '.join(METRICS)} |", "|---" * (2 + len(METRICS)) + "|"]
    for arm in listed:
        cells = []
        for name in METRICS:
            values = np.array(rows[arm.name][name])
            told = f"{values.mean():.3f}"
            if arm.name != WHOLE:
                apart = (values - whole[name]).mean(axis=1)
                counts = group_counts(len(apart), 1_000, 1)
                found = interval(lambda weights, apart=apart: weighted_mean(apart, np.asarray(weights)), counts)  # type: ignore[misc]
                told += f" ({found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}])"
            cells.append(told)
        lines.append(f"| {arm.name} | {arm.claim} | {' | '.join(cells)} |")
    shape = whole["logit"].shape
    lines += [
        "",
        f"Means over {shape[0]} held-out items x {shape[1]} segments; in brackets the paired difference to the whole method "
        "with its 95 % interval, resampled by item. Logit and probability: the oracle's, means of a segment's users.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Train, draw, judge, compare, write."""
    parser = day_parser(__doc__)
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--segments", type=int, default=6)
    parser.add_argument("--afresh-steps", type=int, default=300, help="alignment steps of arms without a warm start")
    parser.add_argument("--arms", type=int, help="the first so many arms alone, in the order of the table")
    parser.add_argument("--keep", type=Path, help="folder that keeps each finished arm's figures")
    arguments = parser.parse_args()
    context = day_context(arguments)
    rows: dict[str, dict[str, list[list[float]]]] = {}
    with one_thread():
        ground = open_ground(context)
        shown = read_held_out(ground, arguments.items, arguments.segments)
        listed = arms(ground, shown, arguments.afresh_steps)[: arguments.arms]
        for arm in listed:
            kept = arguments.keep / f"{arm.name.replace(' ', '_').replace(',', '')}.json" if arguments.keep else None
            if kept and kept.exists():
                rows[arm.name] = json.loads(kept.read_text())
                continue
            rows[arm.name] = measure(ground, shown, arm.telling())
            told = {name: round(float(np.mean(values)), 3) for name, values in rows[arm.name].items()}
            print(f"{arm.name}: {told}", flush=True)
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(rows[arm.name]))
    text = report(rows, listed)
    print(text)
    write_section("Ablations", text)


if __name__ == "__main__":
    main()
