"""A search by drawing finds the taste whose covers a user likes best, and imitation makes the adapter ask for it."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from icg_tasks.backbones.device import choose_compute
from icg_tasks.contracts.errors import Interrupted
from icg_tasks.lake.registry import require_champion
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.audience import Audience, read_audience
from icg_tasks.models.icg.catalogue import Catalogue, read_catalogue
from icg_tasks.models.icg.ground import choose_start, open_studio
from icg_tasks.models.icg.search import Found, Imitation, LookSearch, _finalists
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.preference.model import KIND, PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork
from icg_tasks.models.training.bench import Bench
from icg_tasks.models.training.processes import Processes
from icg_tasks.models.training.threads import one_thread
from tests.models.icg.planting import plant

Ground = tuple[Studio, IcgAdapter, Catalogue, Audience, object]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory):
    context = plant(tmp_path_factory.mktemp("search"))
    preference = require_champion(context.store, KIND, context.run_date)
    studio = open_studio(context, preference, choose_compute(context.settings.backbones))
    learned, _, _ = read_catalogue(context)
    adapter = choose_start(context, studio, 256).adapter.requires_grad_(False).eval()
    settings = replace(context.settings.adapter, search_tastes=12, aesthetic_weight=0.0)
    with one_thread():
        yield studio, adapter, learned, read_audience(context, 256), settings


def search(ground: Ground, **changes: object) -> LookSearch:
    studio, adapter, _, audience, settings = ground
    return LookSearch(studio, adapter, audience, replace(settings, **changes), Processes())


def toy(merit: list[list[float]], *, weight: float = 1.0, relevant: tuple[bool, ...] = (True,) * 3) -> Found:
    """Three tastes on one item each; covers are the three axes, and a user likes the axis of their own vector."""
    network = PreferenceNetwork(PreferenceConfig(width=3, rank=6, num_slots=1))
    with torch.no_grad():
        network.user_map.copy_(torch.eye(6))
        network.cover_map.copy_(torch.eye(6))
    model = PreferenceModel(network=network.eval().requires_grad_(False), encoder="none", score_mean=0.0, score_deviation=0.5)
    return Found(
        tastes_PV=10.0 + torch.arange(18.0).view(3, 6),
        looks_PIE=torch.eye(3)[:, None],
        titles_IE=torch.zeros(1, 3),
        merit_PI=torch.tensor(merit),
        relevant_P=torch.tensor(relevant),
        preference=model,
        preference_weight=weight,
    )


def test_everyone_gets_the_taste_whose_covers_they_like_and_nobody_stays_nobody() -> None:
    users = torch.cat([torch.eye(6)[[2, 0]], torch.zeros(1, 6)])
    even = toy([[0.0], [0.0], [0.0]])
    assert torch.equal(even.best(users), torch.stack([even.tastes_PV[2], even.tastes_PV[0], torch.zeros(6)]))


def test_what_speaks_for_covers_without_asking_the_user_counts_by_its_weight() -> None:
    users = torch.eye(6)[[2]]
    assert torch.equal(toy([[0.0], [1.9], [0.0]]).best(users)[0], toy([[0.0]] * 3).tastes_PV[2])  # 1 / 0.5 = 2 deviations
    assert torch.equal(toy([[0.0], [2.1], [0.0]]).best(users)[0], toy([[0.0]] * 3).tastes_PV[1])
    assert torch.equal(toy([[0.0], [0.1], [0.0]], weight=0.0).best(users)[0], toy([[0.0]] * 3).tastes_PV[1])


def test_a_taste_whose_covers_no_longer_say_what_the_item_is_serves_nobody() -> None:
    found = toy([[0.0], [0.0], [0.0]], relevant=(True, True, False))
    assert not torch.equal(found.best(torch.eye(6)[[2]])[0], found.tastes_PV[2])
    nothing = toy([[0.0], [0.0], [0.0]], relevant=(False,) * 3)
    assert torch.equal(nothing.best(torch.eye(6)[[2]]), torch.eye(6)[[2]])  # then users keep their own


def test_finalists_begin_with_the_choices_of_segments() -> None:
    found = toy([[0.0], [0.0], [0.5]])
    users = torch.zeros(3, 6)
    users[:, 0] = torch.tensor([1.0, 0.0, 0.0])  # the first taste's user likes the first cover, the others have no wish
    wishes = replace(found, tastes_PV=users)
    assert _finalists(wishes, 1, 2).tolist() == [0, 2]
    assert _finalists(wishes, 0, 9).tolist() == [0, 2, 1]


def test_the_same_search_finds_the_same_and_its_covers_are_what_it_says(ground: Ground) -> None:
    studio, adapter, learned, audience, settings = ground
    found, again = (search(ground).find(learned, lambda: None) for _ in range(2))
    assert torch.equal(found.tastes_PV, again.tastes_PV)
    assert torch.equal(found.looks_PIE, again.looks_PIE)
    tastes, items, _ = found.looks_PIE.shape
    assert (tastes, items) == (3, 8)  # a quarter of twelve, on two and six items
    rng = np.random.default_rng([settings.seed, 2**33])
    audience.draw(0, 0.0, rng)  # the segments are as many as there is room for
    rows = rng.choice(len(learned), size=8, replace=False).tolist()
    seeds = rng.integers(2**62, size=8).tolist()
    one = learned.part([rows[3]])
    with torch.no_grad():
        states = studio.states(adapter, studio.read(one, adapter))
        image = studio.draw(adapter(states, found.tastes_PV[:1]), studio.denoiser.noise(seeds[3:4])).clamp(0.0, 1.0)
        alone = studio.judges.encoder.embed_images(image)
    assert torch.allclose(found.looks_PIE[0, 3], alone[0], atol=1e-3)


def test_a_segment_that_another_taste_serves_better_is_given_that(ground: Ground) -> None:
    _, _, learned, audience, _ = ground
    found = search(ground, search_tastes=24, relevance_weight=0.0).find(learned, lambda: None)
    segments = torch.from_numpy(audience.segments_SV)
    rewards = found.rewards(segments)
    best = found.best(segments)
    for row, taste in enumerate(best):
        at = int((found.tastes_PV == taste).all(dim=1).nonzero()[0])
        assert rewards[row, at] == rewards[row].max()
    assert (rewards.max(dim=1).values > rewards.mean(dim=1)).all()


def test_imitation_moves_what_is_told_towards_what_was_found_and_leaves_nobody_alone(ground: Ground) -> None:
    studio, start, learned, audience, settings = ground
    users = torch.cat([torch.from_numpy(audience.segments_SV), torch.zeros(1, 256)])
    found = search(ground).find(learned, lambda: None)
    other = replace(found, tastes_PV=found.tastes_PV.flip(1))  # tastes that nobody has: there is something to learn
    lessons = Imitation(studio, start, learned.part(list(range(8))), users, other)
    adapter = copy.deepcopy(start).requires_grad_(True)
    bench = Bench(adapter, learning_rate=1e-3, average_decay=0.0)
    losses = []
    for step in range(12):
        loss, parts = lessons.loss(adapter, np.random.default_rng([1, step]), 16, Processes())
        losses.append(parts["imitation"])
        bench.step(loss)
    assert losses[0] > 0
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])
    assert torch.equal(adapter.meta_tokens, start.meta_tokens)
    assert settings.search_steps > 0


def test_a_search_can_be_stopped_between_batches(ground: Ground) -> None:
    def stop() -> None:
        raise Interrupted("enough")

    with pytest.raises(Interrupted):
        search(ground).find(ground[2], stop)
