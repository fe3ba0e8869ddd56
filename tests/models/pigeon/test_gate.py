"""Who becomes champion: as much loss as settings allow, judged by the low end of its interval."""

from dataclasses import replace

import numpy as np

from icg_tasks.config import load_settings
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.models.pigeon.check import Check
from icg_tasks.models.pigeon.gate import decide

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
