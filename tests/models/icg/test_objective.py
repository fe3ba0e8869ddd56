"""Dispersion, user lengths, and batches that come from (seed, step) alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from icg_tasks.config.settings import AdapterSettings
from icg_tasks.lake.registry import fetch_version, require_champion
from icg_tasks.models.icg.audience import Audience, read_audience
from icg_tasks.models.icg.batch import draw_batch
from icg_tasks.models.icg.catalogue import Catalogue, read_catalogue
from icg_tasks.models.icg.objective import dispersion_loss, of_typical_length
from icg_tasks.models.icg.targets import Targets
from icg_tasks.models.preference.model import KIND, PreferenceModel
from tests.models.icg.planting import plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalogue, Audience, PreferenceModel]:
    context = plant(tmp_path_factory.mktemp("planted"))
    folder: Path = fetch_version(context.store, require_champion(context.store, KIND, context.run_date), context.scratch())
    return read_catalogue(context)[0], read_audience(context, 256), PreferenceModel.load(folder)


def test_users_who_differ_should_get_covers_that_differ() -> None:
    users = torch.eye(4)[:3].unsqueeze(0)
    same, apart = torch.ones(1, 3, 5), normalize(torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(1)), dim=-1)
    assert dispersion_loss(apart, users) < dispersion_loss(normalize(same, dim=-1), users)
    alike = torch.stack([torch.ones(4), torch.ones(4), -torch.ones(4)]).unsqueeze(0)
    together = normalize(torch.tensor([[[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]]]), dim=-1)
    crossed = together[:, [0, 2, 1]]
    assert dispersion_loss(together, alike) < dispersion_loss(crossed, alike)  # users alike may share a look


def test_short_vectors_are_lengthened_and_nobody_stays_nobody() -> None:
    users = torch.tensor([[0.3, 0.4], [3.0, 4.0], [0.0, 0.0]])
    lengths = of_typical_length(users).norm(dim=-1)
    assert torch.allclose(lengths, torch.tensor([1.0, 5.0, 0.0]))


def test_a_batch_depends_on_seed_and_step_alone(planted: tuple[Catalogue, Audience, PreferenceModel]) -> None:
    catalogue, audience, preference = planted
    settings, targets = AdapterSettings(), Targets(catalogue, preference)
    first, again, later = (draw_batch(catalogue, audience, targets, settings, step, 1000) for step in (5, 5, 6))
    assert torch.equal(first.users_BV, again.users_BV)
    assert first.seeds == again.seeds
    assert first.targets == again.targets
    assert first.seeds != later.seeds
    assert first.users_BV.shape == (16, 256)


def test_targets_are_real_covers_of_the_title_that_the_user_likes(planted: tuple[Catalogue, Audience, PreferenceModel]) -> None:
    catalogue, audience, preference = planted
    rows = np.arange(10)
    targets, rng = Targets(catalogue, preference), np.random.default_rng(1)
    assert targets.choose(rows, np.zeros((10, 256), dtype=np.float32), rng) == rows.tolist()
    chosen = [targets.choose(rows, np.tile(user, (10, 1)), rng) for user in audience.segments_SV]
    assert chosen[0] != chosen[1]
    images, titles = catalogue.vectors_NV[:, :128], catalogue.vectors_NV[:, 128:]
    similarity = (images[chosen[0]] * titles[rows]).sum(1)
    assert similarity.mean() > (images @ titles[rows].T).mean() + 0.1


def test_the_audience_is_segments_users_mixtures_and_nobody(planted: tuple[Catalogue, Audience, PreferenceModel]) -> None:
    audience = planted[1]
    assert audience.segments_SV.shape == (3, 256)
    assert 0 < len(audience.users_UV) < 12  # held-out users and those without information are not among them
    drawn = audience.draw(400, 0.2, np.random.default_rng(1))
    nobody = ~drawn.any(axis=1)
    assert 0.1 < nobody.mean() < 0.3
    segments = (drawn[:, None] == audience.segments_SV[None]).all(axis=2).any(axis=1)
    users = (drawn[:, None] == audience.users_UV[None]).all(axis=2).any(axis=1)
    assert min(segments.mean(), users.mean(), (~(segments | users | nobody)).mean()) > 0.1
