"""The engine with real models: no leakage between rows, seeds, scale, and images that must not be shown."""

from pathlib import Path

import numpy as np
import pytest
import torch

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.covers.engine import CoverEngine, CoverRequest
from tests.covers.conftest import House, picture, png
from tests.covers.studio import USER_WIDTH, build_studio, load_once


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    load_once(monkeypatch)
    return build_studio(tmp_path)


@pytest.fixture
def engine(house: House) -> CoverEngine:
    return CoverEngine.load(house.context("generate-covers"))


def taste(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(0, 0.1, USER_WIDTH).astype(np.float32)


def request(item: str = "a", user: int | None = None, seed: int = 1, **more) -> CoverRequest:
    image = png(picture(sum(item.encode()), 64))
    vector = None if user is None else taste(user)
    return CoverRequest(item_id=item, title=f"The {item}", image_bytes=image, user_vector=vector, seed=seed, **more)


def difference(one, other) -> int:
    return int(np.abs(one.image.astype(int) - other.image.astype(int)).max())


def test_a_batch_equals_single_runs_and_rows_do_not_leak(engine: CoverEngine) -> None:
    requests = [request(user=1, seed=1), request(user=2, seed=2), request(user=None, seed=3), request("b", user=3, seed=4)]
    together = engine.generate(requests)
    alone = [engine.generate([one])[0] for one in requests]
    assert [difference(*pair) for pair in zip(together, alone, strict=True)] == [0, 0, 0, 0]  # bit by bit, whatever the batch
    assert [(one.preference, one.relevance) for one in together] == [(one.preference, one.relevance) for one in alone]
    assert difference(together[0], together[1]) > 20  # other covers differ by far more
    swapped = engine.generate([requests[0], request(user=9, seed=2), *requests[2:]])
    assert difference(together[0], swapped[0]) == 0
    assert difference(together[2], swapped[2]) == 0
    assert difference(together[1], swapped[1]) > 0


def test_order_of_items_does_not_matter(engine: CoverEngine) -> None:
    requests = [request("a", 1), request("b", 1), request("a", 2), request("b", 2)]
    forth = engine.generate(requests)
    back = engine.generate([requests[number] for number in (1, 0, 3, 2)])
    assert [difference(forth[one], back[other]) for one, other in ((0, 1), (1, 0), (2, 3), (3, 2))] == [0, 0, 0, 0]


def test_scale_zero_and_the_zero_vector_are_the_plain_cover(engine: CoverEngine) -> None:
    plain, scaled, personal = engine.generate([request(), request(user=1, scale=0.0), request(user=1)])
    assert difference(plain, scaled) == 0
    assert difference(plain, personal) > 20


def test_the_most_preferred_candidate_is_kept(engine: CoverEngine) -> None:
    engine_settings = engine._settings
    engine._settings = type(engine_settings)(**{**vars(engine_settings), "candidate_slack": 1e6})
    try:
        best = engine.generate([request(user=1, seed=7, candidates=4)])[0]
    finally:
        engine._settings = engine_settings
    assert best.preference == max(best_of(engine, 4))
    assert 0 <= best.candidate < 4


def best_of(engine: CoverEngine, count: int) -> list[float]:
    """Preferences of the same candidates, drawn as one batch of ``count`` again and judged apart."""
    from icg_tasks.covers import engine as module

    found: list[float] = []
    original = module.choose

    def recording(preferences, relevances, *, slack):
        found.extend(preferences)
        return original(preferences, relevances, slack=slack)

    module.choose = recording
    try:
        engine.generate([request(user=1, seed=7, candidates=count)])
    finally:
        module.choose = original
    return found


@pytest.mark.parametrize(("bias", "reason"), [(0.0, "blank"), (float("nan"), "not_finite")])
def test_images_that_are_no_pictures_are_rejected(engine: CoverEngine, bias: float, reason: str) -> None:
    last = engine._drawer.generator.denoiser.vae.decoder.conv_out
    weight, former = last.weight.clone(), last.bias.clone()
    try:
        with torch.no_grad():
            last.weight.zero_()
            last.bias.fill_(bias)
        covers = engine.generate([request(user=1, candidates=2), request()])
    finally:
        with torch.no_grad():
            last.weight.copy_(weight)
            last.bias.copy_(former)
    assert [cover.rejected for cover in covers] == [reason, reason]


def test_a_cover_that_says_too_little_is_rejected(engine: CoverEngine) -> None:
    settings = engine._settings
    engine._settings = type(settings)(**{**vars(settings), "min_subject_relevance": 0.999})
    try:
        assert engine.generate([request(user=1)])[0].rejected == "irrelevant"
    finally:
        engine._settings = settings
    assert engine.generate([request(user=1)])[0].rejected is None


def test_bad_input_names_the_item(engine: CoverEngine) -> None:
    broken = request("c")
    broken = CoverRequest(**{**vars(broken), "image_bytes": broken.image_bytes[:60]})
    with pytest.raises(DataCorrupt, match="item c"):
        engine.generate([broken])
    with pytest.raises(DataCorrupt, match="256 wide"):
        engine.generate([CoverRequest(**{**vars(request()), "user_vector": np.zeros(5, dtype=np.float32)})])
