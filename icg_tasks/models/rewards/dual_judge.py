"""A dual encoder that judges: any CLIPModel or SiglipModel checkpoint with its own preprocessing, logit scale and bias.

Loaded by its own name, so that a reward does not share its eye with the pipeline. Knows models; no setting.
Legend: B images, C 3, H height, W width, E encoder width.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, CLIPModel, SiglipModel

from icg_tasks.backbones.checkpoint import checkpoint_folder, checkpoint_identity, load_whole, model_type
from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.images import Preprocessing
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.contracts.errors import DataCorrupt, DataMissing

_FAMILIES: dict[str, type[Any]] = {"clip": CLIPModel, "siglip": SiglipModel}


class DualJudge:
    """A frozen dual encoder and what its checkpoint multiplies cosines by; ``bias`` is 0 where the family has none."""

    def __init__(self, encoder: DualEncoder, scale: float, bias: float) -> None:
        self.encoder, self.scale, self.bias = encoder, scale, bias

    @classmethod
    def load(
        cls, checkpoint: str, device: torch.device | str = "cpu", families: Sequence[str] = tuple(_FAMILIES)
    ) -> "DualJudge":
        """From a folder or pinned hub id, float32, every weight from safetensors.

        Raises:
            DataMissing: no such checkpoint, no safetensors weights, no tokenizer.
            DataCorrupt: it is of another family or shape, or its image processor cannot be reproduced.
        """
        folder = checkpoint_folder(resolve_checkpoint(checkpoint))
        found = model_type(folder, " or ".join(families))
        if found not in families:
            raise DataCorrupt(f"{checkpoint}: expected a checkpoint of model_type {' or '.join(families)}, found {found}")
        model = load_whole(_FAMILIES[found], folder, dtype=torch.float32)
        bias = getattr(model, "logit_bias", None)
        return cls(
            DualEncoder(model, _tokenizer(folder), Preprocessing.from_folder(folder), checkpoint_identity(folder)).to(device),
            scale=float(model.logit_scale.detach().exp()),
            bias=0.0 if bias is None else float(bias.detach()),
        )

    def cosines(self, images_BCHW: Tensor, titles: Sequence[str]) -> Tensor:
        """Cosine of each image with its own title [B]; differentiable in pixels in [0, 1]."""
        return (self.encoder.embed_images(images_BCHW) * self.title_vectors(titles)).sum(dim=-1)

    def logits(self, images_BCHW: Tensor, titles: Sequence[str]) -> Tensor:
        """What the checkpoint's own head makes of the cosines [B]: exp(logit_scale) x cosine + logit_bias."""
        return self.scale * self.cosines(images_BCHW, titles) + self.bias

    @torch.no_grad()
    def title_vectors(self, titles: Sequence[str]) -> Tensor:
        """Unit vectors [B, E]; a title that comes several times is read once."""
        different = list(dict.fromkeys(titles))
        rows = [different.index(title) for title in titles]
        return self.encoder.embed_texts(different)[rows]


def _tokenizer(folder: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise DataMissing(f"{folder}: no usable tokenizer there ({error}); a judge of titles needs its own") from error
