"""Proposals say again what the preference model knows of a user: they point where it would click, and speak of looks alone."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.proposals import WAYS, propose, spread_out
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork

WIDTH, COVERS = 6, 50


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    rng = np.random.default_rng(2)
    images = normalize(torch.from_numpy(rng.normal(size=(COVERS, WIDTH)).astype(np.float32)), dim=-1)
    titles = normalize(torch.from_numpy(rng.normal(size=(COVERS, WIDTH)).astype(np.float32)), dim=-1)
    return Catalogue(
        item_ids=[str(n) for n in range(COVERS)],
        titles=["t"] * COVERS,
        images=[],
        vectors_NV=torch.cat([images, titles], dim=1).numpy(),
    )


def model(user_map: torch.Tensor) -> PreferenceModel:
    network = PreferenceNetwork(PreferenceConfig(width=WIDTH, rank=2 * WIDTH, num_slots=1))
    with torch.no_grad():
        network.user_map.copy_(user_map)
        network.cover_map.copy_(torch.eye(2 * WIDTH))
    return PreferenceModel(network=network.eval().requires_grad_(False), encoder="none", score_mean=0.0, score_deviation=1.0)


def test_own_vectors_come_first_and_all_are_long_enough(catalogue: Catalogue) -> None:
    users = torch.eye(2 * WIDTH)[:2] * 0.1
    tastes = propose(model(torch.eye(2 * WIDTH)), catalogue, users)
    assert tastes.shape == (WAYS * 2, 2 * WIDTH)
    assert torch.allclose(tastes[:2], torch.eye(2 * WIDTH)[:2])
    assert torch.allclose(tastes.norm(dim=1), torch.ones(len(tastes)), atol=1e-5)
    assert (tastes[2:, WIDTH:] == 0).all()


def test_they_point_where_the_model_says_that_the_user_clicks(catalogue: Catalogue) -> None:
    swapped = torch.eye(2 * WIDTH)[[1, 0, *range(2, 2 * WIDTH)]]  # who says axis 0 means axis 1
    users = torch.eye(2 * WIDTH)[:1]
    for row, taste in enumerate(propose(model(swapped), catalogue, users)[1:]):
        assert taste[:WIDTH].argmax() == 1, row
        assert taste[1] > 2 * taste[0].abs()


def test_what_is_wished_is_what_clicks_would_add_up_to(catalogue: Catalogue) -> None:
    """Clicks of a linear model, less their expectation, times the covers that were shown: the formula of user vectors."""
    users = torch.eye(2 * WIDTH)[2:3]
    wished = propose(model(torch.eye(2 * WIDTH)), catalogue, users)[1]
    images = torch.from_numpy(catalogue.vectors_NV[:, :WIDTH])
    click = images[:, 2]
    added = ((click - click.mean())[:, None] * images).sum(dim=0)
    assert torch.allclose(normalize(added, dim=0), wished[:WIDTH], atol=1e-5)


def test_the_best_cover_speaks_for_itself(catalogue: Catalogue) -> None:
    """Means of many looks need not be a look that any cover has."""
    users = torch.eye(2 * WIDTH)[2:3]
    images = torch.from_numpy(catalogue.vectors_NV[:, :WIDTH])
    best = images[images[:, 2].argmax()] - images.mean(dim=0)
    last = propose(model(torch.eye(2 * WIDTH)), catalogue, users)[-1]
    assert torch.allclose(last[:WIDTH], normalize(best, dim=0), atol=1e-5)


def test_covers_that_are_spread_out_are_all_unlike(catalogue: Catalogue) -> None:
    tastes = spread_out(catalogue, 10)
    assert tastes.shape == (10, 2 * WIDTH)
    assert (tastes[:, WIDTH:] == 0).all()
    apart = tastes @ tastes.T - 2 * torch.eye(10)
    everybody = spread_out(catalogue, COVERS)
    usual = everybody @ everybody.T - 2 * torch.eye(COVERS)
    assert apart.max() < usual.max(dim=1).values.median()
    assert len(spread_out(catalogue, 1_000)) == COVERS
    assert len(spread_out(catalogue, 0)) == 0
