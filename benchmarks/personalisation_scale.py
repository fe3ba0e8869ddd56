"""The personalisation scale: what a cover gains and loses between nobody's cover (0) and the segment's own (1), and beyond.

Draws held-aside items for the largest segments at each scale, always from the same noise, with the date's champion. Fails where
scale 0 is not bit for bit the unpersonalised cover. Needs a day (``make demo``); about 1 s x scales x items on the tiny stack.
Run: ``python -m benchmarks.personalisation_scale --run-date 2026-03-10 [--items 24] [--segments 6] [--set store=…]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.ground import Ground, day_context, day_parser, draw, open_ground, preference_of, recognised, relevance_of
from benchmarks.plots import line_plot
from benchmarks.results import write_section
from icg_tasks.lake.registry import champion_as_of, fetch_version
from icg_tasks.models.icg.adapter import KIND, IcgAdapter
from icg_tasks.models.statistics import Interval, mean_interval
from icg_tasks.models.training.threads import one_thread

SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One scale; means over pairs of item and segment, with bootstrap intervals."""

    scale: float
    preference: Interval
    relevance: Interval
    subject: float


def served_adapter(ground: Ground) -> IcgAdapter:
    """The date's champion, or what its training would start from."""
    context = ground.context
    champion = champion_as_of(context.store, KIND, context.run_date)
    if champion is None:
        return ground.adapter
    folder = fetch_version(context.store, champion, context.scratch("models"))
    return IcgAdapter.load(folder).eval().to(ground.studio.compute.device)


def climb(ground: Ground, adapter: IcgAdapter, num_items: int, num_segments: int, scales: Sequence[float]) -> list[Rung]:
    """Every scale; raises SystemExit where scale 0 is not the plain cover."""
    items = ground.aside.part(list(range(min(num_items, len(ground.aside)))))
    users = torch.from_numpy(ground.audience.segments_SV[:num_segments])
    plain = draw(ground.studio, adapter, items, torch.zeros_like(users))
    if not torch.equal(draw(ground.studio, adapter, items, users, scale=0.0), plain):
        raise SystemExit("scale 0 is not bit for bit the unpersonalised cover")
    rungs = []
    for scale in scales:
        images = draw(ground.studio, adapter, items, users, scale)
        rungs.append(
            Rung(
                scale=scale,
                preference=_interval(preference_of(ground.studio, images, items.titles, users)),
                relevance=_interval(relevance_of(ground.studio, images, items.titles)),
                subject=recognised(ground.context, images, items.item_ids),
            )
        )
        print(
            f"scale {scale}: preference {rungs[-1].preference.mean:.3f}, relevance {rungs[-1].relevance.mean:.3f}", flush=True
        )
    return rungs


def _interval(values_GU: NDArray[np.float64]) -> Interval:
    return mean_interval(values_GU.flatten(), 500, 1)


def report(rungs: list[Rung]) -> str:
    """Table, plots, and whether it is monotone."""

    def told(found: Interval) -> str:
        return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"

    lines = ["| scale | preference | relevance | subject recognised |", "|---|---|---|---|"]
    lines += [f"| {one.scale:g} | {told(one.preference)} | {told(one.relevance)} | {one.subject:.3f} |" for one in rungs]
    upto = [one for one in rungs if one.scale <= 1.0]
    rises = bool((np.diff([one.preference.mean for one in upto]) > 0).all())
    falls = bool((np.diff([one.relevance.mean for one in rungs]) < 0).all())
    return "\n".join(
        [
            *lines,
            "",
            "Scale 0 is bit for bit the unpersonalised cover. "
            f"From 0 to 1 the preference rises at every rung: {rises}. Relevance falls at every rung: {falls}.",
            "",
            line_plot(
                "personalisation_scale_preference",
                "Preference by personalisation scale",
                "scale",
                {"preference": [(one.scale, one.preference.mean) for one in rungs]},
            ),
            line_plot(
                "personalisation_scale_relevance",
                "Relevance by personalisation scale",
                "scale",
                {"relevance": [(one.scale, one.relevance.mean) for one in rungs]},
            ),
        ]
    )


def main() -> None:
    """Draw, compare, write."""
    parser = day_parser(__doc__)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--segments", type=int, default=6)
    arguments = parser.parse_args()
    with one_thread():
        ground = open_ground(day_context(arguments))
        text = report(climb(ground, served_adapter(ground), arguments.items, arguments.segments, SCALES))
    print(text)
    write_section("Personalisation scale", text)


if __name__ == "__main__":
    main()
