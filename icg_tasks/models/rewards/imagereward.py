"""ImageReward's shape (arXiv 2304.05977): BLIP reads title and image together, a head scores its first text state.

The BLIP is a ``BlipForImageTextRetrieval`` checkpoint of transformers (its matching head and projections are not used), the
head a file beside it: ``BLIP+HEAD.safetensors``, both converted from the release. Legend: B images, C 3, H height, W width,
T text positions, P patches and class token, D tower width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BlipForImageTextRetrieval

from icg_tasks.backbones.checkpoint import checkpoint_folder, load_whole, model_type
from icg_tasks.backbones.images import Preprocessing
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.models.rewards.context import RewardContext
from icg_tasks.models.rewards.score_head import ScoreHead, encoder_and_head

_MEAN, _DEVIATION = 0.16717362830052426, 1.0333394966054072
"""Of the released model's raw scores, as its code subtracts and divides."""
_MAX_TOKENS = 35


class BlipJudge:
    """A frozen BLIP and its score head."""

    def __init__(self, model: nn.Module, tokenizer: Any, preprocessing: Preprocessing, head: ScoreHead) -> None:
        self.model: Any = model.eval().requires_grad_(False)
        self.tokenizer, self.preprocessing, self.head = tokenizer, preprocessing, head

    def scores(self, images_BCHW: Tensor, titles: Sequence[str]) -> Tensor:
        """Scores [B]; differentiable in pixels in [0, 1]."""
        device = self.model.device
        values = self.preprocessing.apply(images_BCHW.to(device).float())
        image_BPD = self.model.vision_model(pixel_values=values).last_hidden_state
        told = self.tokenizer(list(titles), padding="max_length", truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
        text_BTD = self.model.text_encoder(
            input_ids=told["input_ids"].to(device),
            attention_mask=told["attention_mask"].to(device),
            encoder_hidden_states=image_BPD,
            encoder_attention_mask=torch.ones(image_BPD.shape[:-1], dtype=torch.long, device=device),
        ).last_hidden_state
        raw_B: Tensor = self.head(text_BTD[:, 0])
        return (raw_B - _MEAN) / _DEVIATION


def imagereward_reward(images_BCHW: Tensor, context: RewardContext) -> Tensor:
    """Scores [B], about -2 to 2, of images [B, 3, H, W] in [0, 1] for their titles; differentiable.

    Raises DataMissing without its judge.
    """
    judge: BlipJudge = context.judge("imagereward")
    return judge.scores(images_BCHW, context.texts(images_BCHW))


def load_judge(checkpoint: str, device: torch.device | str) -> BlipJudge:
    """From ``BLIP+HEAD.safetensors``; raises DataMissing or DataCorrupt where one is not there or does not fit the other."""
    encoder, head = encoder_and_head(checkpoint)
    folder = checkpoint_folder(resolve_checkpoint(encoder))
    found = model_type(folder, "blip")
    if found != "blip":
        raise DataCorrupt(f"{encoder}: expected a checkpoint of model_type blip, found {found}")
    model = load_whole(BlipForImageTextRetrieval, folder, dtype=torch.float32)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise DataMissing(f"{folder}: no usable tokenizer there ({error}); a judge of titles needs its own") from error
    scorer = ScoreHead.load(head, int(model.config.text_config.hidden_size))
    return BlipJudge(model.to(device), tokenizer, Preprocessing.from_folder(folder), scorer.to(device))
