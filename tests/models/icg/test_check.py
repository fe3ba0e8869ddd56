"""The shipped adapter under the training's own checks, and a smoke training whose rise is stated."""

from dataclasses import replace

import pytest
import torch

from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.lake.registry import fetch_version, require_champion
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.audience import Audience, read_audience
from icg_tasks.models.icg.catalogue import Catalogue, read_catalogue
from icg_tasks.models.icg.check import check_adapter
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.icg.train_adapter import run
from icg_tasks.models.preference.model import KIND
from icg_tasks.models.rewards.context import RewardModels
from tests.models.icg.planting import plant


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Studio, Catalogue, Audience]:
    context = plant(tmp_path_factory.mktemp("scene"))
    compute = choose_compute(context.settings.backbones)
    version = require_champion(context.store, KIND, context.run_date)
    studio = Studio(
        language=open_language_model(context.settings.backbones, compute),
        denoiser=open_denoiser(context.settings, compute),
        judges=RewardModels.load(context.settings.backbones, fetch_version(context.store, version, context.scratch())),
        compute=compute,
        guidance=2.0,
        steps=4,
    )
    return studio, read_catalogue(context)[1], read_audience(context, 256)


def test_the_shipped_adapter_draws_the_title_and_the_users_look(scene: tuple[Studio, Catalogue, Audience]) -> None:
    studio, items, audience = scene
    found = check_adapter(studio, IcgAdapter.load(resolve_checkpoint("zoo:adapter")), items, audience, seed=1)
    assert len(found.own_P) == len(items) * 3
    assert found.own_P.mean() > found.swapped_P.mean() + 0.1
    assert found.own_P.mean() > found.plain_P.mean()
    assert found.canaries["title_found"] >= 0.75
    assert found.canaries["diversity_users"] > 0.1
    again = check_adapter(studio, IcgAdapter.load(resolve_checkpoint("zoo:adapter")), items, audience, seed=1)
    assert (again.own_P == found.own_P).all()


def test_a_closed_gate_shows_as_no_personalisation(scene: tuple[Studio, Catalogue, Audience]) -> None:
    studio, items, audience = scene
    closed = IcgAdapter.load(resolve_checkpoint("zoo:adapter"))
    with torch.no_grad():
        closed.gate.zero_()
    found = check_adapter(studio, closed, items, audience, seed=1)
    assert found.canaries["diversity_users"] < 1e-3
    assert abs(found.own_P - found.plain_P).max() < 1e-3


@pytest.mark.slow
def test_twenty_steps_raise_the_preference_and_keep_the_title(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Expected: own preference up by at least 0.05 deviations on items set aside, title still found."""
    context = plant(tmp_path_factory.mktemp("smoke"))
    adapter = replace(
        context.settings.adapter,
        reward_steps=20,
        batch_size=16,
        evaluate_every=10,
        reward_gradient_steps=4,
        checkpoint_every=10,
    )
    outcome = run(replace(context, settings=replace(context.settings, adapter=adapter)))
    first, last = outcome.figures["checks"][0], outcome.figures["checks"][-1]
    assert last["own"] > first["own"] + 0.05
    assert last["title_found"] >= first["title_found"] - 0.1
