"""What each part of Pigeon is worth: the day's Pigeon trained anew without it, judged by the oracle on items nobody learned on.

Each arm draws single samples of the same held-out items for the largest segments from the same seeds, at reference ratios that
the seeds tell unless the arm fixes one; differences to the whole method are paired, with intervals resampled by item. Trained
weights and finished arms are kept in ``--keep`` and not done again. Needs a day of the embedded world with ICG's champion
(``make demo``) and ICG_PSEUDONYM_KEY as in its simulation.
Run: ``python -m benchmarks.pigeon --run-date 2026-03-10 --keep FOLDER [--items 16] [--set …]``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from benchmarks.ground import Ground, day_context, day_parser, open_ground, recognised
from benchmarks.held_out import HeldOut, read_held_out
from benchmarks.results import write_section
from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.tokens.table import open_token_model
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.models.pigeon.atelier import Atelier, Covers, seeds_of
from icg_tasks.models.pigeon.generator import PigeonGenerator, Wanted
from icg_tasks.models.pigeon.liked import History, LikedCovers
from icg_tasks.models.pigeon.model import Pigeon, PigeonShape, weights_file
from icg_tasks.models.pigeon.train_pigeon import together
from icg_tasks.models.pigeon.training import PigeonTraining
from icg_tasks.models.pigeon.windows import read_windows
from icg_tasks.models.statistics import group_counts, interval, weighted_mean
from icg_tasks.models.training.threads import one_thread

METRICS = ("logit", "probability", "preference", "relevance", "aesthetic", "subject")
WHOLE = "whole method"
_SEED = 7_100
Values = dict[str, list[list[float]]]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What is trained (``learned``: other settings) and how it is drawn (``drawn``: other settings)."""

    name: str
    claim: str = ""
    learned: dict[str, Any] = field(default_factory=dict)
    drawn: dict[str, Any] = field(default_factory=dict)
    personal: bool = True


_NO_TRAINING = {"reconstruction_steps": 0, "preference_steps": 0}
_ALONE = {"preference_steps": 0}  # masks learn in stage 1, so it tells what they are worth
_LAST = 3  # a stage beside the two that serve: stage 2's averaged weights after its last step, whatever its checks said
ARMS = (
    Arm(name=WHOLE),
    Arm(name="no personalisation", claim="nobody's cover for all", personal=False),
    Arm(name="stage 1 alone", claim="less of both likenesses", drawn={"stage": 1}),
    Arm(name="stage 2 to its last step", claim="what the choice of a checkpoint saves", drawn={"stage": _LAST}),
    Arm(name="no training", claim="what the token model knew before", learned=_NO_TRAINING),
    Arm(name="no stage 1", claim="less", learned={"reconstruction_steps": 0}),
    Arm(name="stage 1 alone, no history mask", claim="less", learned=_ALONE | {"history_mask": "none"}),
    Arm(name="stage 1 alone, random history mask", claim="less", learned=_ALONE | {"history_mask": "random"}),
    Arm(name="pairs by the history almost alone, last step", learned={"reference_weight": 0.05}, drawn={"stage": _LAST}),
    *(Arm(name=f"history mask ratio {r}", drawn={"history_mask_ratio": r}) for r in (0.0, 0.4, 0.6, 0.8)),
    *(Arm(name=f"reference mask ratio {r}", drawn={"lone_ratio": r}) for r in (0.0, 0.25, 0.5, 0.75, 1.0)),
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A day, what is compared on it, and where finished work is kept."""

    ground: Ground
    shown: HeldOut
    keep: Path
    covers: list[Covers] = field(default_factory=list)  # once they are known

    @property
    def settings(self) -> PigeonSettings:
        """Of the day."""
        return self.ground.context.settings.pigeon

    def fresh(self, settings: PigeonSettings) -> tuple[Atelier, Pigeon]:
        """A token model without any training of a day, and the day's covers in its codes."""
        backbones = self.ground.context.settings.backbones
        tokens = open_token_model(settings.token_family, settings.token_model, choose_compute(backbones))
        if not self.covers:
            self.covers.append(Covers.of(tokens, together(self.ground.learned, self.ground.aside)))
        atelier = Atelier(tokens=tokens, covers=self.covers[0], encoder=self.ground.studio.judges.encoder, settings=settings)
        return atelier, Pigeon(tokens, PigeonShape.of(tokens, settings), settings.seed)

    def trained(self, learned: dict[str, Any]) -> dict[int, dict[str, Tensor]]:
        """Weights after stage 1, those that serve after both, and those after stage 2's last step, by stage."""
        name = "-".join(f"{key}={value}" for key, value in sorted(learned.items())) or "whole"
        paths = {stage: self.keep / f"{name}.{stage}.safetensors" for stage in (1, 2, _LAST)}
        if not all(path.exists() for path in paths.values()):
            settings = replace(self.settings, **learned)
            atelier, pigeon = self.fresh(settings)
            windows = read_windows(self.ground.context, together(self.ground.learned, self.ground.aside))
            folder = self.keep / f"{name}.training" / "checkpoint"
            folder.parent.mkdir(parents=True, exist_ok=True)
            training = PigeonTraining(
                atelier, pigeon, windows, folder=folder, identity=name, say=self.ground.context.say, stop=lambda _save: None
            )
            found = training.run()
            paths[1].write_bytes(weights_file(found.reconstructed))
            paths[2].write_bytes(weights_file(found.pigeon.trained()))
            paths[_LAST].write_bytes(weights_file(found.pigeon.trained() | training.bench.average))
        return {stage: safetensors.torch.load_file(path) for stage, path in paths.items()}

    def drawn(self, arm: Arm) -> Tensor:
        """Covers [G, S, 3, H, W]."""
        settings = replace(self.settings, **(arm.learned | arm.drawn))
        atelier, pigeon = self.fresh(settings)
        pigeon.wear(self.trained(arm.learned)[settings.stage])
        generator = PigeonGenerator(pigeon, atelier.encoder, settings)
        histories = self._histories(atelier, pigeon.shape.history_length) if arm.personal else [None] * len(self.shown.segments)
        rows = []
        for row, (image, title) in enumerate(zip(self.shown.items.images, self.shown.items.titles, strict=True)):
            seeds = seeds_of(_SEED, row, count=len(histories))
            codes = atelier.tokens.encode([image])[0]
            wanted = [
                Wanted(reference_N=codes, title=title, history=history, ratios=generator.ratios([seed]), seeds=[seed])
                for history, seed in zip(histories, seeds, strict=True)
            ]
            codes, _ = generator.write(wanted)
            rows.append(atelier.tokens.decode(codes))
        return torch.stack(rows)

    def _histories(self, atelier: Atelier, length: int) -> Sequence[History | None]:
        catalogue = together(self.ground.learned, self.ground.aside)
        liked = LikedCovers(codes_IN=atelier.covers.codes_IN, vectors_IV=torch.from_numpy(catalogue.vectors_NV))
        preference = self.ground.studio.judges.preference
        return [liked.history(preference, user, length) for user in self.shown.users_SV]

    def measured(self, arm: Arm) -> Values:
        """Every metric of every (item, segment); from the folder where it was measured before."""
        path = self.keep / f"{arm.name.replace(' ', '_')}.json"
        if not path.exists():
            images = self.drawn(arm)
            ids, context = self.shown.items.item_ids, self.ground.context
            subject = [
                [recognised(context, images[row : row + 1, [column]], [item]) for column in range(images.shape[1])]
                for row, item in enumerate(ids)
            ]
            found = {name: values.tolist() for name, values in self.shown.judged(images).items()} | {"subject": subject}
            path.write_text(json.dumps(found))
        values: Values = json.loads(path.read_text())
        return values


def report(rows: dict[str, Values]) -> str:
    """Means, and paired differences to the whole method with 95 % intervals."""
    whole = {name: np.array(values) for name, values in rows[WHOLE].items()}
    claims = {arm.name: arm.claim for arm in ARMS}
    lines = [f"| arm | should cost | {' | '.join(METRICS)} |", "|---" * (2 + len(METRICS)) + "|"]
    for arm, values in rows.items():
        cells = [_cell(np.array(values[name]), None if arm == WHOLE else whole[name]) for name in METRICS]
        lines.append(f"| {arm} | {claims[arm]} | {' | '.join(cells)} |")
    items, segments = whole["logit"].shape
    return "\n".join(
        [
            *lines,
            "",
            f"Single samples of {items} held-out items x {segments} segments; in brackets the paired difference to the whole "
            "method with its 95 % interval, resampled by item. Logit and probability are the oracle's.",
        ]
    )


def _cell(values: Any, whole: Any) -> str:
    told = f"{values.mean():.3f}"
    if whole is None:
        return told
    apart = (values - whole).mean(axis=1)
    counts = group_counts(len(apart), 1_000, 1)
    found = interval(lambda weights: weighted_mean(apart, np.asarray(weights)), counts)
    return f"{told} ({found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}])"


def main() -> None:
    """Train, draw, judge, compare, write."""
    parser = day_parser(__doc__)
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--segments", type=int, default=6)
    parser.add_argument("--arms", type=int, help="the first so many arms alone, in the order of the table")
    parser.add_argument("--only-draw", metavar="ARM", action="append", help="keep these arms' figures; no table")
    parser.add_argument("--keep", type=Path, required=True, help="folder that keeps trained weights and finished arms")
    arguments = parser.parse_args()
    context = day_context(arguments)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Values] = {}
    with one_thread():
        ground = open_ground(context)
        bench = Bench(ground=ground, shown=read_held_out(ground, arguments.items, arguments.segments), keep=arguments.keep)
        chosen = [arm for arm in ARMS if arm.name in arguments.only_draw] if arguments.only_draw else ARMS[: arguments.arms]
        for arm in chosen:
            rows[arm.name] = bench.measured(arm)
            print(f"{arm.name}: { {name: round(float(np.mean(rows[arm.name][name])), 3) for name in METRICS} }", flush=True)
    if arguments.only_draw:
        return
    text = report(rows)
    print(text)
    write_section("Pigeon: what each part is worth", text)


if __name__ == "__main__":
    main()
