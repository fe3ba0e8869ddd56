"""The rules of promotion that both generators share."""

import numpy as np
import pytest

from icg_tasks.models.training.decision import Decision, decide, outside

_APART = np.full(40, 0.3)


def _decided(change: float, apart: float = 0.3, *, broken: tuple[str, ...] = (), found_better: bool = True) -> Decision:
    noise = np.linspace(-0.1, 0.1, 40)
    return decide(noise + change, noise + apart, broken, figure="score", max_loss=0.05, found_better=found_better, seed=3)


def test_a_gain_that_is_own_is_accepted_and_says_what_it_is() -> None:
    decision = _decided(0.2)
    assert decision.accepted
    assert decision.reason.startswith("score +0.200 [")
    assert decision.gain.low > 0.15
    assert decision.to_json()["own_less_swapped"]["mean"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"change": 0.2, "found_better": False}, "no checkpoint was better"),
        ({"change": 0.2, "broken": ("saturation 0.9 outside 0.1 to 0.6",)}, "canaries: saturation 0.9"),
        ({"change": 0.2, "apart": 0.0}, "own covers beat swapped ones by"),
        ({"change": -0.04}, "score changes by -0.040, low end"),
    ],
)
def test_each_reason_refuses_on_its_own(arguments: dict[str, object], why: str) -> None:
    decision = _decided(**arguments)  # type: ignore[arg-type]
    assert not decision.accepted
    assert why in decision.reason


def test_a_small_loss_is_no_refusal() -> None:
    assert _decided(0.0).accepted


def test_a_value_that_is_no_number_is_outside() -> None:
    assert outside({"a": float("nan"), "b": 1.0}, {"a": (0.0, 9.0), "b": (0.0, 1.0)}) == ["a nan outside 0.000 to 9.000"]
