"""What the adapter's benchmarks share: a store's day, its frozen models, trainings in folders that vanish, covers to look at.

Nothing to run here; each benchmark needs a store on which the day's train-preference has run (``make demo``).
"""

import argparse
import copy
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icg_tasks.backbones.device import choose_compute
from icg_tasks.config import load_settings
from icg_tasks.config.settings import AdapterSettings
from icg_tasks.contracts.stages import TRAIN_ADAPTER
from icg_tasks.evaluation.world_judge import Judge
from icg_tasks.lake.registry import require_champion
from icg_tasks.lake.store import open_store
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.audience import Audience, read_audience
from icg_tasks.models.icg.catalogue import Catalogue, read_catalogue
from icg_tasks.models.icg.ground import choose_start, open_studio
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.icg.training import AdapterTraining
from icg_tasks.models.preference.model import KIND as PREFERENCE
from icg_tasks.stage import StageContext
from icg_tasks.world.attributes import SUBJECTS
from icg_tasks.world.items import shelf


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A day's models and data; ``aside`` are items that no training of the benchmark learns on."""

    context: StageContext
    studio: Studio
    adapter: IcgAdapter
    learned: Catalogue
    aside: Catalogue
    audience: Audience

    def training(
        self, settings: AdapterSettings, folder: str, kind: type[AdapterTraining] = AdapterTraining, *, aligns: bool = False
    ) -> AdapterTraining:
        """A training of a copy of the adapter."""
        return kind(
            self.studio,
            copy.deepcopy(self.adapter),
            (self.learned, self.aside),
            self.audience,
            settings,
            folder=Path(folder) / "checkpoint",
            identity="benchmark",
            aligns=aligns,
            say=self.context.say,
            stop=_go_on,
        )


def _go_on(_save: Callable[[], None]) -> None:
    """Nobody stops a benchmark but Ctrl-C."""


def day_parser(description: str | None) -> argparse.ArgumentParser:
    """``--run-date`` and ``--set``, as every benchmark of a day has them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--run-date", type=date.fromisoformat, required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="section.field=value")
    return parser


def day_context(arguments: argparse.Namespace) -> StageContext:
    """Settings and store of the day; scratch goes to a folder of this run."""
    scratch = tempfile.mkdtemp(prefix="icg-benchmark-")
    settings = load_settings("tiny", [*arguments.overrides, f"work_folder={scratch}"], environ=os.environ)
    return StageContext(stage=TRAIN_ADAPTER, run_date=arguments.run_date, settings=settings, store=open_store(settings.store))


def open_ground(context: StageContext) -> Ground:
    """Models and data of the day; the adapter that its training would start from."""
    learned, aside, _ = read_catalogue(context)
    width = learned.vectors_NV.shape[1]
    compute = choose_compute(context.settings.backbones)
    studio = open_studio(context, require_champion(context.store, PREFERENCE, context.run_date), compute)
    return Ground(
        context=context,
        studio=studio,
        adapter=choose_start(context, studio, width).adapter.to(compute.device),
        learned=learned,
        aside=aside,
        audience=read_audience(context, width),
    )


def quiet(settings: AdapterSettings, **changes: object) -> AdapterSettings:
    """Settings of a benchmark's training: no sheets, checkpoints only at the end."""
    return replace(settings, images_every=0, checkpoint_every=1_000_000, **changes)  # type: ignore[arg-type]


@torch.no_grad()
def draw(studio: Studio, adapter: IcgAdapter, items: Catalogue, users_UV: Tensor, scale: float = 1.0) -> Tensor:
    """Covers [G, U, 3, H, W] of every item for every user vector, from the item's own noise."""
    states = studio.states(adapter, studio.read(items, adapter))
    users, rows = users_UV.to(studio.compute.device), []
    for row in range(len(items)):
        noise = studio.denoiser.noise([1_000 + row]).expand(len(users), -1, -1, -1)
        told = adapter(states[row].expand(len(users), -1, -1), users, scale)
        rows.append(studio.draw(told, noise).clamp(0.0, 1.0))
    return torch.stack(rows)


@torch.no_grad()
def preference_of(studio: Studio, images_GUCHW: Tensor, titles: list[str], users_UV: Tensor) -> NDArray[np.float64]:
    """How much each user prefers their cover [G, U], in deviations of served scores."""
    model, users = studio.judges.preference, users_UV.to(studio.compute.device)
    looks = studio.judges.encoder.embed_images(images_GUCHW.flatten(0, 1))
    wanted = studio.judges.titles(titles).repeat_interleave(len(users), dim=0)
    scores = (model.score(users.repeat(len(titles), 1), looks, wanted) - model.score_mean) / model.score_deviation
    return scores.view(len(titles), len(users)).double().cpu().numpy()


@torch.no_grad()
def relevance_of(studio: Studio, images_GUCHW: Tensor, titles: list[str]) -> NDArray[np.float64]:
    """Cosine of cover and title [G, U]."""
    looks = studio.judges.encoder.embed_images(images_GUCHW.flatten(0, 1)).unflatten(0, images_GUCHW.shape[:2])
    return (looks * studio.judges.titles(titles)[:, None]).sum(dim=-1).double().cpu().numpy()


def recognised(context: StageContext, images_GUCHW: Tensor, item_ids: list[str]) -> float:
    """Share of covers on which the independent judge finds the item's subject; nan where the world is not the embedded one."""
    if context.settings.source != "world":
        return float("nan")
    catalogue = shelf(context.settings.world, context.run_date)
    pixels = (images_GUCHW.flatten(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    shown = [SUBJECTS[int(catalogue.subject_I[catalogue.row_of[item]])] for item in item_ids]
    subjects = [subject for subject in shown for _ in range(images_GUCHW.shape[1])]
    return float(Judge().subject_recognised(pixels, subjects).mean())
