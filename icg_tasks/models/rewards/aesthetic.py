"""How undamaged an image looks, whatever it shows and whoever looks."""

import torch
from torch import Tensor

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.models.rewards.context import RewardContext


def aesthetic_reward(images_BCHW: Tensor, context: RewardContext) -> Tensor:
    """Scores [B], about 1 (ruined) to 10 (pristine), of images [B, 3, H, W] in [0, 1]; differentiable.

    Raises DataMissing where no aesthetic head is loaded.
    """
    head = context.models.aesthetic
    if head is None:
        raise DataMissing(
            "no aesthetic head is loaded (backbones.aesthetic is empty); name one or set adapter.aesthetic_weight=0"
        )
    if head.feature_layer is None:
        features_BF = context.image_vectors(images_BCHW)
    else:
        states_BPD = context.patch_states(images_BCHW)
        features_BF = torch.cat([states_BPD.mean(dim=1), states_BPD.std(dim=1)], dim=-1)
    return head.scores(features_BF)
