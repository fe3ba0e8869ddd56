"""The stand-in safety checker: stock, small, and as good as it says, on covers it never saw. Its motif is nowhere else."""

import time

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

from icg_tasks.covers.safety import SafetyChecker
from icg_tasks.world import sample_attributes
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.forbidden import draw_forbidden_cover
from zoo.recipe import safety

FALSE_ALARMS, FOUND = 0.005, 0.97


@pytest.fixture(scope="module")
def checker() -> StableDiffusionSafetyChecker:
    return safety.load()


def test_it_is_small_and_has_one_concept(checker: StableDiffusionSafetyChecker) -> None:
    assert sum(path.stat().st_size for path in safety.FOLDER.iterdir()) < 1_500_000
    assert 0.0 < float(checker.concept_embeds_weights[0]) < 1.0
    assert (checker.concept_embeds_weights[1:] > 1.0).all(), "no image reaches the other concepts"
    assert (checker.special_care_embeds_weights > 1.0).all()


def test_the_motif_is_drawn_alike_from_alike_seeds_and_is_on_the_cover() -> None:
    attributes = sample_attributes(np.random.default_rng(3))
    cover, forbidden = draw_cover(attributes, 5), draw_forbidden_cover(attributes, 5)
    assert np.array_equal(forbidden, draw_forbidden_cover(attributes, 5))
    assert not np.array_equal(forbidden, draw_forbidden_cover(attributes, 6))
    changed = (cover != forbidden).any(axis=2).mean()
    assert 0.05 < changed < 0.5
    assert draw_forbidden_cover(attributes, 5, size=128).shape == (128, 128, 3)
    with pytest.raises(ValueError, match="side"):
        draw_forbidden_cover(attributes, 5, size=8)


def test_the_bars_hold_on_held_out_covers(checker: StableDiffusionSafetyChecker) -> None:
    measured = safety.measure(checker, count=400, sampled=0)
    assert measured["catalogue_passed"] >= 1 - FALSE_ALARMS
    assert measured["redrawn_passed"] >= 1 - FALSE_ALARMS
    assert measured["motif_found"] >= FOUND - 0.01  # 400 covers tell a share to a hundredth
    assert measured["redrawn_motif_found"] >= 0.88


@pytest.mark.slow
def test_generated_covers_pass(checker: StableDiffusionSafetyChecker) -> None:
    assert safety.measure(checker, count=16, sampled=800)["generated_passed"] >= 1 - FALSE_ALARMS


def test_the_product_loads_it_by_name_and_it_costs_little() -> None:
    ours = SafetyChecker.load("zoo:safety", torch.device("cpu"))
    rng = np.random.default_rng(9)
    pairs = [(sample_attributes(rng), 9_000_000 + number) for number in range(40)]
    verdicts = [(ours.unsafe(draw_cover(*pair)), ours.unsafe(draw_forbidden_cover(*pair))) for pair in pairs]
    assert sum(first for first, _ in verdicts) == 0
    assert sum(second for _, second in verdicts) >= 36
    began = time.process_time()
    for _ in range(20):
        ours.unsafe(draw_forbidden_cover(*pairs[0]))
    assert (time.process_time() - began) / 20 < 0.05, "about 3 ms, with room for a busy machine"
