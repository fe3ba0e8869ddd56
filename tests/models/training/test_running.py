"""Rewards of different units become comparable, and a constant one does not explode."""

import torch

from icg_tasks.models.training.running import RunningScale


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
