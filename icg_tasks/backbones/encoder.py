"""The dual encoder: images and texts to unit vectors of one space, differentiable in the pixels.

Any transformers checkpoint with ``get_image_features`` and ``get_text_features`` (CLIP, SigLIP), local folder or hub id,
safetensors only. Knows no data set and no stage. Legend: B batch, C 3, H height, W width, E embedding width, T text positions,
P image patches, D width of the tower.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from icg_tasks.backbones.checkpoint import checkpoint_folder, checkpoint_identity
from icg_tasks.backbones.images import Preprocessing, pil_to_pixels
from icg_tasks.contracts.errors import DataCorrupt, DataMissing

_MAX_CONTEXT = 4_096


class DualEncoder:
    """A frozen dual encoder. ``embedding_width`` is E, ``context`` is T, ``identity`` a content hash."""

    def __init__(self, model: nn.Module, tokenizer: Any, preprocessing: Preprocessing, identity: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing
        self.identity = identity
        config: Any = model.config
        self.embedding_width = int(getattr(config, "projection_dim", None) or config.vision_config.hidden_size)
        self.context = min(int(config.text_config.max_position_embeddings), _MAX_CONTEXT)

    @classmethod
    def load(cls, checkpoint: str, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> "DualEncoder":
        """From a local folder or a hub id (``HF_HUB_OFFLINE`` is honoured). Only safetensors weights are read.

        Raises:
            DataMissing: no such checkpoint, or it has no safetensors weights.
            DataCorrupt: it is not a dual encoder or its image processor cannot be reproduced.
        """
        folder = checkpoint_folder(checkpoint)
        transformers_logging.disable_progress_bar()  # stages have their own progress
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            if not (hasattr(config, "text_config") and hasattr(config, "vision_config")):
                raise DataCorrupt(
                    f"{checkpoint}: {config.model_type} is no dual encoder (text and vision towers); name a CLIP or SigLIP"
                )
            model = AutoModel.from_pretrained(folder, use_safetensors=True, local_files_only=True, dtype=dtype)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise DataMissing(f"{checkpoint}: no usable dual encoder with safetensors weights there ({error})") from error
        return cls(model.to(device), tokenizer, Preprocessing.from_folder(folder), checkpoint_identity(folder))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are."""
        return next(self.model.parameters()).dtype

    def to(self, device: str | torch.device) -> "DualEncoder":
        """Move the weights; returns itself."""
        self.model.to(device)
        return self

    def embed_images(self, pixels_BCHW: Tensor) -> Tensor:
        """Pixels in [0, 1] of any size to unit vectors [B, E] (float32). Gradients flow back into the pixels."""
        return self.embed_pixel_values(self.preprocessing.apply(pixels_BCHW.to(self.device).float()))

    def embed_pixel_values(self, values_BCHW: Tensor) -> Tensor:
        """Normalised pixel values of the encoder's own size (as ``preprocess_pil`` gives) to unit vectors [B, E]."""
        found = self.model.get_image_features(pixel_values=values_BCHW.to(self.device, self.dtype))  # type: ignore[operator]
        return functional.normalize(found.pooler_output.float(), dim=-1)

    def hidden_image_states(self, pixels_BCHW: Tensor, layer: int) -> Tensor:
        """Patch states [B, P, D] after ``layer`` transformer layers (0 = patch embeddings), class token left out."""
        return self.image_outputs(pixels_BCHW, layer)[1]

    def image_outputs(self, pixels_BCHW: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Unit vectors [B, E] and patch states [B, P, D] of one pass: what rewards need together."""
        values = self.preprocessing.apply(pixels_BCHW.to(self.device).float()).to(self.dtype)
        found = self.model.get_image_features(pixel_values=values, output_hidden_states=True)  # type: ignore[operator]
        states = found.hidden_states[layer].float()
        vision: Any = self.model.config.vision_config  # type: ignore[union-attr]
        patches = (self.preprocessing.height // vision.patch_size) * (self.preprocessing.width // vision.patch_size)
        return functional.normalize(found.pooler_output.float(), dim=-1), states[:, -patches:]

    def patch_statistics(self, pixels_BCHW: Tensor, layer: int = 2) -> Tensor:
        """Mean and deviation over the patches of a shallow layer [B, 2D]: what the aesthetic head reads."""
        states_BPD = self.hidden_image_states(pixels_BCHW, layer)
        return torch.cat([states_BPD.mean(dim=1), states_BPD.std(dim=1)], dim=-1)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids [B, T], padded and cut to the context (a longer text loses its end)."""
        encoded = self.tokenizer(
            list(texts), padding="max_length", max_length=self.context, truncation=True, return_tensors="pt"
        )
        return encoded["input_ids"]  # type: ignore[no-any-return]

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts to unit vectors [B, E] (float32)."""
        return functional.normalize(self.text_states(texts)[1], dim=-1)

    def text_states(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Last hidden states [B, T, D] (padding included, as diffusers' pipelines feed them) and projected vectors [B, E]."""
        found = self.model.get_text_features(input_ids=self.tokenize(texts).to(self.device))  # type: ignore[operator]
        return found.last_hidden_state.float(), found.pooler_output.float()

    def preprocess_pil(self, images: Sequence[Image.Image]) -> Tensor:
        """PIL images of any sizes to normalised pixel values [B, 3, height, width] on the CPU."""
        return torch.cat([self.preprocessing.apply(pil_to_pixels(image)) for image in images])
