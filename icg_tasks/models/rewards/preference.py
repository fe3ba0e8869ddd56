"""How much this user or segment would like this cover for this title; saturating, so that no taste is worth everything."""

import torch
from torch import Tensor

from icg_tasks.models.rewards.context import RewardContext


def preference_reward(images_BCHW: Tensor, context: RewardContext) -> Tensor:
    """Rewards [B] in (-cap, cap) of images [B, 3, H, W] in [0, 1]; differentiable.

    cap x tanh(z / cap) with z = the served score in deviations of all served scores. Raises DataMissing without a
    preference model.
    """
    model = context.models.taste
    scores = model.score(context.user_vectors, context.image_vectors(images_BCHW), context.title_vectors)
    cap = context.reward_cap
    return cap * torch.tanh((scores - model.score_mean) / (model.score_deviation * cap))
