"""How well an image shows what its title says, as a second dual encoder sees it: any CLIPModel or SiglipModel checkpoint."""

import torch
from torch import Tensor

from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.dual_judge import DualJudge


def title_match_reward(images_BCHW: Tensor, context: RewardContext) -> Tensor:
    """Logits [B] of images [B, 3, H, W] in [0, 1] for their titles; differentiable. Raises DataMissing without its judge.

    exp(logit_scale) x cosine, plus the bias of SigLIP: the diagonal of the checkpoint's own ``logits_per_image``.
    """
    judge: DualJudge = context.judge("title_match")
    return judge.logits(images_BCHW, context.texts(images_BCHW))


def load_judge(checkpoint: str, device: torch.device | str) -> DualJudge:
    """Raises DataMissing or DataCorrupt where there is no CLIP or SigLIP."""
    return DualJudge.load(checkpoint, device)
