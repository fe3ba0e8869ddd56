"""Who becomes champion: as much loss as settings allow, judged by the low end of its interval."""

from dataclasses import replace

import numpy as np

from icg_tasks.config import load_settings
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.models.pigeon.check import Check
from icg_tasks.models.pigeon.gate import decide, score, surely_better

CANARIES = {"dark_share": 0.02, "edge_density": 0.05, "saturation": 0.3, "diversity": 1.2}


def check(own: float, noise: int) -> Check:
    rng = np.random.default_rng(noise)
    rows = {name: own + 0.1 * rng.normal(size=24) for name in ("own_B", "reference_B", "plain_B", "plain_reference_B")}
    return Check(loss=2.0, swapped_B=rng.normal(scale=0.02, size=24), canaries=CANARIES, **rows)


def test_a_challenger_may_lose_what_settings_allow_and_no_more() -> None:
    start, slightly_worse, much_worse = check(0.3, 1), check(0.29, 2), check(0.1, 3)
    strict, lenient = PigeonSettings(), replace(PigeonSettings(), max_loss=0.1)
    assert not decide(slightly_worse, start, 40, strict).accepted  # so few windows cannot tell that it lost no more than 0.02
    assert decide(slightly_worse, start, 40, lenient).accepted
    assert not decide(much_worse, start, 40, lenient).accepted
    assert not decide(slightly_worse, start, 0, lenient).accepted  # nothing better was found
    assert load_settings("tiny").pigeon.max_loss == 0.1


def test_stage_2_serves_only_where_it_is_surely_better_than_stage_1() -> None:
    settings, before = PigeonSettings(), check(0.3, 1)
    noisy, steady = check(0.301, 2), replace(before, own_B=before.own_B + 0.01, reference_B=before.reference_B + 0.01)
    assert surely_better(steady, before, settings)  # one hundredth, in every window
    assert not surely_better(before, steady, settings)
    better_by_chance = replace(noisy, own_B=noisy.own_B + max(0.0, score(before, settings) - score(noisy, settings)) + 0.01)
    assert score(better_by_chance, settings) > score(before, settings)
    assert not surely_better(better_by_chance, before, settings)
    alone = [replace(one, own_B=one.own_B[:1], reference_B=one.reference_B[:1]) for one in (steady, before)]
    assert not surely_better(*alone, settings)
