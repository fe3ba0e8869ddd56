import pytest
import torch

from icg_tasks.models.rewards.context import RewardContext, RewardInputError
from icg_tasks.models.rewards.table import REWARDS, SCALE_FLOORS

SHARED = [name for name, reward in REWARDS.items() if not reward.own_judge]
"""Rewards that look through the pipeline's encoder; those with judges of their own: test_judges.py."""


def part(context, rows):
    return RewardContext(
        models=context.models, title_vectors=context.title_vectors[rows], user_vectors=context.user_vectors[rows]
    )


def test_every_reward_is_a_function_named_after_its_line():
    assert set(SHARED) == {"aesthetic", "relevance", "preference"}
    assert len(REWARDS) > len(SHARED)
    for name, reward in REWARDS.items():
        assert reward.name == name
        assert reward.function.__name__ == f"{name}_reward"
        assert SCALE_FLOORS[name] == reward.floor > 0


@pytest.mark.parametrize("name", SHARED)
def test_a_differentiable_reward_can_be_climbed_from_the_pixels(name, images, context):
    pixels = images.clone().requires_grad_(True)
    found = REWARDS[name].function(pixels, context)
    assert found.shape == (len(images),)
    assert found.requires_grad == REWARDS[name].differentiable
    found.sum().backward()
    assert pixels.grad.abs().sum(dim=(1, 2, 3)).min() > 0


@pytest.mark.parametrize("name", SHARED)
def test_a_batch_of_n_is_n_single_runs(name, images, context):
    with torch.no_grad():
        together = REWARDS[name].function(images, context)
        alone = [
            REWARDS[name].function(images[row : row + 1], part(context, slice(row, row + 1))) for row in range(len(images))
        ]
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-3, rtol=0)


def test_one_look_at_the_images_serves_all_rewards(images, context):
    first = context.image_vectors(images)
    context.patch_states(images)
    assert context.image_vectors(images) is first
    assert context.image_vectors(images.clone()) is not first


def test_a_look_without_gradient_is_not_reused_where_one_is_needed(images, context):
    pixels = images.clone().requires_grad_(True)
    with torch.no_grad():
        assert not context.image_vectors(pixels).requires_grad
    assert context.image_vectors(pixels).requires_grad


def test_images_and_context_must_belong_together(images, context):
    with pytest.raises(RewardInputError, match="expected"):
        context.image_vectors(images[:2])
    with pytest.raises(RewardInputError, match="expected"):
        context.image_vectors(images[:, :1])
