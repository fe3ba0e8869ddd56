"""People's choice between two images for a prompt, by a CLIP fine-tuned on such choices (PickScore, arXiv 2305.01569)."""

import torch
from torch import Tensor

from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.dual_judge import DualJudge


def pickscore_reward(images_BCHW: Tensor, context: RewardContext) -> Tensor:
    """exp(logit_scale) x cosine [B] of images [B, 3, H, W] in [0, 1] and titles, as its model card scores; differentiable.

    Raises DataMissing without its judge.
    """
    judge: DualJudge = context.judge("pickscore")
    return judge.logits(images_BCHW, context.texts(images_BCHW))


def load_judge(checkpoint: str, device: torch.device | str) -> DualJudge:
    """Raises DataMissing or DataCorrupt where there is no CLIPModel."""
    return DualJudge.load(checkpoint, device, families=("clip",))
