"""The independent judge: does an image show its item's subject? No training and not the oracle saw through this eye.

One of the files here that know the embedded world. Its word on subjects is asked only where the data came from that world; as a
tower of image metrics it serves wherever the shipped tiny stack is in use, since no reward of that stack looks through it.
Legend: P images, B batch, C 3, H height, W width, D channels, E vector.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.checkpoint import checkpoint_folder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.evaluation.metrics.tower import Sight
from icg_tasks.world.attributes import SUBJECTS
from icg_tasks.world.eye import AttributeClassifier
from icg_tasks.world.sight import Eye, load_eye


class Judge:
    """Tells subjects from pixels."""

    def __init__(self, eye: Eye | None = None) -> None:
        self._eye = eye or load_eye("judge")

    def subject_recognised(self, image_PHWC: NDArray[np.uint8], subjects: Sequence[str]) -> NDArray[np.float64]:
        """1.0 where the likeliest subject of an image is the one it should show, else 0.0."""
        likeliest = self._eye.features(image_PHWC)[:, : len(SUBJECTS)].argmax(axis=1)
        return np.array([float(SUBJECTS[row] == subject) for row, subject in zip(likeliest, subjects, strict=True)])


class ClassifierTower:
    """An attribute classifier as the tower of image metrics: its maps before each halving of the image, and after the last."""

    def __init__(self, classifier: AttributeClassifier, name: str) -> None:
        self._classifier, self._name = classifier, name
        self._device = next(classifier.parameters()).device

    @classmethod
    def load(cls, name: str, device: torch.device | str) -> "ClassifierTower":
        """The classifier of a folder or zoo:NAME. Raises DataMissing, EyeConfigError."""
        return cls(AttributeClassifier.from_folder(checkpoint_folder(resolve_checkpoint(name))).to(device), name)

    @property
    def name(self) -> str:
        """The checkpoint, as settings name it."""
        return self._name

    @torch.no_grad()
    def see(self, pixels_BCHW: Tensor) -> Sight:
        """Maps, and the vectors [B, E] that the classifier's heads read, brought to unit length."""
        side = self._classifier.config.image_size
        maps_BDHW = pixels_BCHW.to(self._device).float() * 4.0 - 2.0
        if tuple(maps_BDHW.shape[-2:]) != (side, side):
            maps_BDHW = functional.interpolate(maps_BDHW, size=(side, side), mode="bicubic", antialias=True)
        seen = []
        for block in self._classifier.body:
            maps_BDHW = block(maps_BDHW)
            seen.append(maps_BDHW)
        kept = [one for one, after in pairwise(seen) if after.shape[-1] < one.shape[-1]]
        pooled = torch.cat([maps_BDHW.mean(dim=(2, 3)), maps_BDHW.amax(dim=(2, 3))], dim=1)
        return Sight(layers_BDHW=[*kept, maps_BDHW], vectors_BE=functional.normalize(pooled, dim=-1))
