"""A dual encoder's vision transformer as the tower of image metrics: its patch states layer by layer, and its image vectors.

Legend: B images, C 3, H height, W width, P patches, D width of the tower.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.evaluation.metrics.tower import Sight


class EncoderTower:
    """Layer 1 is what the first transformer layer leaves; class tokens are left out."""

    def __init__(self, encoder: DualEncoder, name: str) -> None:
        self._encoder, self._name = encoder, name

    @classmethod
    def load(cls, name: str, device: torch.device | str) -> "EncoderTower":
        """The encoder of a folder, hub id or zoo:NAME. Raises as ``DualEncoder.load``."""
        return cls(DualEncoder.load(resolve_checkpoint(name), device=device), name)

    @property
    def name(self) -> str:
        """The checkpoint, as settings name it."""
        return self._name

    @torch.no_grad()
    def see(self, pixels_BCHW: Tensor) -> Sight:
        """Patch states as maps, and the encoder's own unit vectors."""
        encoder = self._encoder
        model: Any = encoder.model
        values = encoder.preprocessing.apply(pixels_BCHW.to(encoder.device).float()).to(encoder.dtype)
        found = model.get_image_features(pixel_values=values, output_hidden_states=True)
        patch = model.config.vision_config.patch_size
        rows, columns = encoder.preprocessing.height // patch, encoder.preprocessing.width // patch
        maps = [
            states_BPD[:, -rows * columns :].float().transpose(1, 2).unflatten(2, (rows, columns))
            for states_BPD in found.hidden_states[1:]
        ]
        return Sight(layers_BDHW=maps, vectors_BE=functional.normalize(found.pooler_output.float(), dim=-1))
