"""Human preference score by a CLIP fine-tuned on rankings (HPS v2, arXiv 2306.09341).

Its released code squeezes the longer side and pads; a checkpoint's own preprocessor_config crops. For square covers both agree.
"""

import torch
from torch import Tensor

from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.dual_judge import DualJudge


def hps_reward(images_BCHW: Tensor, context: RewardContext) -> Tensor:
    """Cosine [B] in [-1, 1] of images [B, 3, H, W] in [0, 1] and titles, without the logit scale, as released; differentiable.

    Raises DataMissing without its judge.
    """
    judge: DualJudge = context.judge("hps")
    return judge.cosines(images_BCHW, context.texts(images_BCHW))


def load_judge(checkpoint: str, device: torch.device | str) -> DualJudge:
    """Raises DataMissing or DataCorrupt where there is no CLIPModel."""
    return DualJudge.load(checkpoint, device, families=("clip",))
