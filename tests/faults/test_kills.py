"""``kill -9`` at twenty random moments of two days: nothing torn, lost or orphaned (benchmarks/kills.py: two hundred)."""

import pytest

from benchmarks.kills import kill_rounds, moments
from benchmarks.kills_ground import stages


def test_moments_meet_every_stage_and_repeat_by_seed() -> None:
    found = list(moments(21, seed=3))
    assert {moment.stage for moment in found} == set(range(len(stages())))
    assert found == list(moments(21, seed=3)) != list(moments(21, seed=4))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_moments() -> None:
    killed, looks, wrong = kill_rounds(20, seed=11)
    assert not wrong
    assert killed.total() == 20
    assert killed["none"] <= 10, "most kills came in time"
    assert looks > 20
