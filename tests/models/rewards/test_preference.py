import pytest
import torch

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.models.rewards.context import RewardContext, RewardModels
from icg_tasks.models.rewards.preference import preference_reward


def test_it_saturates_at_the_cap_and_keeps_the_order_of_scores(images, context):
    model = context.models.preference
    with torch.no_grad():
        scores = model.score(context.user_vectors, context.image_vectors(images), context.title_vectors)
        found = preference_reward(images, context)
    assert ((scores - model.score_mean) / model.score_deviation).abs().max() > context.reward_cap
    assert found.abs().max() < context.reward_cap + 1e-6
    assert torch.equal(found.argsort(), scores.argsort())


def test_another_user_gets_another_reward(images, context):
    with torch.no_grad():
        found = preference_reward(images, context)
        context.user_vectors = context.user_vectors.roll(1, dims=0)
        assert (preference_reward(images, context) - found).abs().max() > 0.1


def test_without_a_model_it_says_which_stage_to_run(images, context):
    bare = RewardContext(
        models=RewardModels(encoder=context.models.encoder),
        title_vectors=context.title_vectors,
        user_vectors=context.user_vectors,
    )
    with pytest.raises(DataMissing, match="train-preference"):
        preference_reward(images, bare)
