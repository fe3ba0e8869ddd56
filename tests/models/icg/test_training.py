"""Abandoned after any step and begun anew, a training ends as an unbroken one does; test_kill does it by signals."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from icg_tasks.backbones.device import choose_compute
from icg_tasks.config.settings import AdapterSettings
from icg_tasks.lake.registry import require_champion
from icg_tasks.models.icg.audience import read_audience
from icg_tasks.models.icg.catalogue import read_catalogue
from icg_tasks.models.icg.fresh import fresh_adapter
from icg_tasks.models.icg.ground import choose_start, open_studio
from icg_tasks.models.icg.training import AdapterTraining
from icg_tasks.models.preference.model import KIND
from icg_tasks.models.training.threads import one_thread
from tests.models.icg.planting import plant

Make = Callable[..., AdapterTraining]


class Abandoned(Exception):
    """The process is gone; nothing more is saved."""


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A function that makes a training: settings, folder, whether afresh, after which step to die."""
    context = plant(tmp_path_factory.mktemp("training"))
    preference = require_champion(context.store, KIND, context.run_date)
    studio = open_studio(context, preference, choose_compute(context.settings.backbones))
    learned, aside, _ = read_catalogue(context)
    items, audience = (learned, aside.part([0, 1])), read_audience(context, 256)
    warm = choose_start(context, studio, 256).adapter

    def made(settings: AdapterSettings, folder: Path, *, aligns: bool, dies_after: int | None = None) -> AdapterTraining:
        def stop(_save: Callable[[], None]) -> None:
            if training.progress.step == dies_after:
                raise Abandoned

        training = AdapterTraining(
            studio,
            fresh_adapter(studio, settings, 256) if aligns else copy.deepcopy(warm),
            items,
            audience,
            settings,
            folder=folder / "checkpoint",
            identity="one",
            aligns=aligns,
            say=lambda line: None,
            stop=stop,
        )
        return training

    base = replace(context.settings.adapter, images_every=0, batch_size=4)
    made.base = base  # type: ignore[attr-defined]
    return made


def end_of(training: AdapterTraining) -> tuple[dict[str, torch.Tensor], Any]:
    """Everything a training leaves."""
    with one_thread():
        trained = training.run()
    tensors = {f"best.{name}": part for name, part in trained.adapter.state_dict().items()}
    tensors |= {name: part.detach().clone() for name, part in training.bench.tensors().items()}
    return tensors, (vars(trained.progress), training.objective.scale.moments)


@pytest.mark.parametrize("kind", ["afresh", "searching", "rolled back", "by policy"])
def test_abandoned_anywhere_it_ends_as_an_unbroken_one(make: Make, tmp_path: Path, kind: str) -> None:
    settings: AdapterSettings = {
        "afresh": replace(make.base, alignment_steps=3, reward_steps=3, checkpoint_every=2, evaluate_every=2),
        "searching": replace(make.base, search_tastes=8, search_steps=3, reward_steps=1, checkpoint_every=2),
        "rolled back": replace(make.base, learning_rate=3.0, reward_steps=4, checkpoint_every=3, evaluate_every=2),
        "by policy": replace(make.base, reward_optimiser="policy", policy_group=2, reward_steps=2, checkpoint_every=1),
    }[kind]  # type: ignore[attr-defined]
    aligns = kind == "afresh"
    whole, course = end_of(make(settings, tmp_path / "whole", aligns=aligns))
    for step in range(1, course[0]["step"] + 1):
        with pytest.raises(Abandoned), one_thread():
            make(settings, tmp_path / "broken", aligns=aligns, dies_after=step).run()
    broken, again = end_of(make(settings, tmp_path / "broken", aligns=aligns))
    assert again == course
    assert broken.keys() == whole.keys()
    assert all(torch.equal(broken[name], whole[name]) for name in whole)
    assert course[0]["rollbacks"] == (2 if kind == "rolled back" else 0)
