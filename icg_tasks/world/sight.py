"""The oracle's eye: a small classifier of the shipped stack that tells what any image shows, whatever drew it.

It was trained on the catalogue alone, apart from everything that learns, and from the judge that evaluation asks. Needs torch.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.world.attributes import ATTRIBUTE_VALUES
from icg_tasks.world.eye import AttributeClassifier

_BATCH: Final = 32


class Eye:
    """Attribute probabilities of images."""

    def __init__(self, classifier: AttributeClassifier) -> None:
        self._classifier = classifier

    def features(self, images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (B, 30) of every attribute value, in the order of ATTRIBUTE_VALUES; images are uint8 RGB, one size."""
        parts = [self._batch(images_BHWC[start : start + _BATCH]) for start in range(0, len(images_BHWC), _BATCH)]
        return np.concatenate(parts)

    def _batch(self, images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        side = self._classifier.config.image_size
        if images_BHWC.shape[1:3] != (side, side):
            images_BHWC = np.stack([np.asarray(Image.fromarray(image).resize((side, side))) for image in images_BHWC])
        pixels = torch.tensor(images_BHWC).permute(0, 3, 1, 2).float() / 255.0
        found = self._classifier.probabilities(pixels)
        return np.asarray(torch.cat([found[name] for name in ATTRIBUTE_VALUES], dim=1).numpy(), dtype=np.float32)


def load_eye(name: str = "oracle_eye") -> Eye:
    """The shipped classifier of that name (``oracle_eye`` for the world, ``judge`` for evaluation); raises DataMissing."""
    found = find_spec("zoo")
    folders = [Path(place) / name for place in (found.submodule_search_locations or [])] if found else []
    for folder in folders:
        if (folder / "config.json").is_file():
            return Eye(AttributeClassifier.from_folder(folder))
    raise DataMissing(f"no trained classifier {name!r} in {', '.join(map(str, folders)) or 'any zoo package'}; run make zoo")
