"""Rewards of different units become comparable, and a constant one does not explode."""

import json

import pytest
import torch

from icg_tasks.models.training.running import RewardNotFinite, RunningScale


def test_units_vanish_and_gradients_stay() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 4.0])
    small, large = RunningScale({}), RunningScale({})
    graded = values.clone().requires_grad_()
    one = small.normalise("reward", graded)
    assert torch.allclose(one, large.normalise("reward", 100 * values), atol=1e-5)
    one.sum().backward()
    assert (graded.grad > 0).all()


def test_the_scale_runs_slowly() -> None:
    scale = RunningScale({})
    scale.normalise("reward", torch.tensor([0.0, 2.0]))
    jump = scale.normalise("reward", torch.tensor([100.0, 102.0]))
    assert jump.mean() > 3  # the mean has not followed yet


def test_a_floor_bounds_the_magnification() -> None:
    assert RunningScale({"reward": 0.5}).normalise("reward", torch.tensor([1.0, 1.001])).abs().max() < 0.01


def test_the_first_batch_is_standardised_by_itself_and_later_ones_move_the_scale_by_a_twentieth() -> None:
    scale = RunningScale({})
    first = scale.normalise("reward", torch.tensor([1.0, 3.0]))
    assert torch.allclose(first, torch.tensor([-1.0, 1.0]))
    scale.normalise("reward", torch.tensor([12.0, 32.0]))
    assert scale.moments["reward"] == pytest.approx([0.95 * 2 + 0.05 * 22, 0.95 * 1 + 0.05 * 100])


def test_every_reward_has_a_scale_of_its_own_and_it_survives_json() -> None:
    scale = RunningScale({})
    scale.normalise("one", torch.tensor([1.0, 3.0]))
    scale.normalise("other", torch.tensor([100.0, 500.0]))
    again = RunningScale({})
    again.moments = json.loads(json.dumps(scale.moments))
    values = torch.tensor([2.0, 5.0])
    for name in ("one", "other"):
        assert torch.equal(scale.normalise(name, values), again.normalise(name, values))


def test_a_reward_that_is_no_number_stops_the_step_and_leaves_the_scale() -> None:
    scale = RunningScale({})
    scale.normalise("hps", torch.tensor([1.0, 3.0]))
    before = list(scale.moments["hps"])
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(RewardNotFinite, match="reward hps is not finite for 1 of 3 images"):
            scale.normalise("hps", torch.tensor([1.0, wrong, 2.0]))
    assert scale.moments["hps"] == before


def test_low_precision_rewards_are_scaled_in_double() -> None:
    values = torch.tensor([1000.0, 1008.0], dtype=torch.bfloat16)
    found = RunningScale({}).normalise("reward", values)
    assert torch.allclose(found.float(), torch.tensor([-1.0, 1.0]))
