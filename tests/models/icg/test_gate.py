"""Checkpoints are chosen by trained rewards, stopped by untrained ones, and become champion only with evidence."""

from dataclasses import replace

import numpy as np
import pytest

from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.check import Check
from icg_tasks.models.icg.gate import broken_canaries, decide, value
from icg_tasks.models.rewards.table import REWARDS

CANARIES = {
    "dark_share": 0.1, "edge_density": 0.05, "saturation": 0.4, "diversity_users": 0.8, "diversity_items": 0.8,
    "title_found": 0.95, "title_found_plain": 0.95,
}  # fmt: skip
FIGURES = {"relevance_personal": 0.6, "relevance_plain": 0.6, "aesthetic_personal": 8.0, "aesthetic_plain": 8.0}


def check(own: float, *, swapped: float = 0.0, spread: float = 0.1, **canaries: float) -> Check:
    rng = np.random.default_rng(1)
    return Check(
        own_P=own + spread * rng.normal(size=40),
        swapped_P=swapped + spread * rng.normal(size=40),
        plain_P=np.zeros(40),
        nobody=0.0,
        figures=FIGURES,
        canaries=CANARIES | canaries,
    )


def test_each_canary_breaks_on_its_own() -> None:
    start = check(0.0)
    assert broken_canaries(start, start) == []
    moved = {
        "dark_share": 0.4, "edge_density": 0.01, "saturation": 0.8, "diversity_users": 0.3, "diversity_items": 0.3,
        "title_found": 0.7, "title_found_plain": 0.7,
    }  # fmt: skip
    for name, number in moved.items():
        found = broken_canaries(check(9.0, **{name: number}), start)
        assert len(found) == 1
        assert name in found[0]


def test_a_better_preference_without_relevance_is_not_a_better_checkpoint() -> None:
    settings = AdapterSettings()
    hacked = replace(check(0.6), figures=FIGURES | {"relevance_personal": 0.2})
    assert value(check(0.5), settings) > value(check(0.0), settings) > value(hacked, settings)


def test_a_reward_with_a_judge_of_its_own_counts_too() -> None:
    settings = replace(AdapterSettings(), more_rewards="pickscore=0.5")
    low, high = (replace(check(0.5), figures=FIGURES | {"pickscore_personal": n, "pickscore_plain": n}) for n in (20.0, 21.0))
    assert value(high, settings) - value(low, settings) == pytest.approx(0.5 / (5 * REWARDS["pickscore"].floor))
    assert value(high, AdapterSettings()) == value(low, AdapterSettings())


def test_real_covers_that_readers_like_say_how_far_covers_may_move() -> None:
    start, vivid = check(0.0), check(1.0, saturation=0.6)
    assert "saturation" in broken_canaries(vivid, start)[0]
    real = {"dark_share": 0.1, "edge_density": 0.05, "saturation": 0.55}
    assert broken_canaries(vivid, start, real) == []
    assert "saturation" in broken_canaries(check(1.0, saturation=0.75), start, real)[0]
    assert decide(vivid, start, 20, 1, real).accepted
    assert not decide(vivid, start, 20, 1).accepted


def test_the_gate_wants_a_gain_that_is_own_and_healthy() -> None:
    start = check(0.2, swapped=0.0)
    assert decide(check(0.6), start, 20, 1).accepted
    assert not decide(check(0.6), start, 0, 1).accepted  # the start itself was the best
    assert "canaries" in decide(check(0.6, title_found=0.5), start, 20, 1).reason
    assert "swapped" in decide(check(0.6, swapped=0.7), start, 20, 1).reason
    worse = decide(check(0.05), start, 20, 1)
    assert not worse.accepted
    assert worse.gain.low < -0.05
