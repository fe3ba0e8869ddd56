"""The public aesthetic predictor on its own CLIP: its score head on the unit image vector.

The shape of the improved aesthetic predictor. Where the pipeline's encoder is that very CLIP, the head may instead be named in
backbones.aesthetic, and costs no second pass.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.dual_judge import DualJudge
from icg_tasks.models.rewards.score_head import ScoreHead, encoder_and_head


@dataclass(frozen=True, kw_only=True)
class PublicAesthetic:
    """A CLIP and the head trained on its vectors."""

    eye: DualJudge
    head: ScoreHead


def public_aesthetic_reward(images_BCHW: Tensor, context: RewardContext) -> Tensor:
    """Scores [B], about 1 to 10, of images [B, 3, H, W] in [0, 1]; differentiable. Raises DataMissing without its judge."""
    judge: PublicAesthetic = context.judge("public_aesthetic")
    context.check(images_BCHW)
    scores: Tensor = judge.head(judge.eye.encoder.embed_images(images_BCHW))
    return scores


def load_judge(checkpoint: str, device: torch.device | str) -> PublicAesthetic:
    """From ``CLIP+HEAD.safetensors``; raises DataMissing or DataCorrupt where one is not there or does not fit the other."""
    encoder, head = encoder_and_head(checkpoint)
    eye = DualJudge.load(encoder, device, families=("clip",))
    return PublicAesthetic(eye=eye, head=ScoreHead.load(head, eye.encoder.embedding_width).to(device))
