"""A safety checker by name: any checkpoint of diffusers' StableDiffusionSafetyChecker, asked about finished covers.

Folder or pinned hub id (``covers.safety_checker``): config.json, safetensors, preprocessor_config.json. Images are judged one
by one, so that no verdict depends on neighbours. Legend: B images (1), C channels (3), H height, W width.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from icg_tasks.backbones.checkpoint import checkpoint_folder, load_whole, model_type
from icg_tasks.backbones.images import Preprocessing
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.contracts.errors import DataCorrupt


class SafetyChecker:
    """Says whether an image shows what must not be shown."""

    def __init__(self, model: nn.Module, preprocessing: Preprocessing, device: torch.device) -> None:
        self._model, self._preprocessing, self._device = model, preprocessing, device

    @classmethod
    def load(cls, checkpoint: str, device: torch.device) -> "SafetyChecker":
        """Raises DataMissing and DataCorrupt for what is no whole checkpoint of a safety checker."""
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

        folder = checkpoint_folder(resolve_checkpoint(checkpoint))
        found = model_type(folder, "clip")
        if not found.startswith("clip"):
            raise DataCorrupt(f"covers.safety_checker {checkpoint!r} is a {found}; expected diffusers' safety checker (clip)")
        model = load_whole(StableDiffusionSafetyChecker, folder, dtype=torch.float32)
        return cls(model.eval().requires_grad_(False).to(device), Preprocessing.from_folder(folder), device)

    @torch.no_grad()
    def unsafe(self, image_HWC: NDArray[np.uint8]) -> bool:
        """Whether the checker finds any of its concepts in an 8-bit RGB image."""
        pixels_BCHW = torch.from_numpy(image_HWC.astype(np.float32) / 255.0).permute(2, 0, 1).unsqueeze(0).to(self._device)
        seen_BCHW: Tensor = self._preprocessing.apply(pixels_BCHW)
        black = [np.zeros((1, 1, 3), dtype=np.float32)]  # it blacks out the images it is given: not ours
        _, flags = self._model(clip_input=seen_BCHW, images=black)
        return bool(flags[0])
