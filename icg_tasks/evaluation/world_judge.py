"""The independent judge: does an image show its item's subject? No training and not the oracle saw through this eye.

One of the two files here that know the embedded world; used only where the data came from it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icg_tasks.world.attributes import SUBJECTS
from icg_tasks.world.sight import Eye, load_eye


class Judge:
    """Tells subjects from pixels."""

    def __init__(self, eye: Eye | None = None) -> None:
        self._eye = eye or load_eye("judge")

    def subject_recognised(self, image_PHWC: NDArray[np.uint8], subjects: Sequence[str]) -> NDArray[np.float64]:
        """1.0 where the likeliest subject of an image is the one it should show, else 0.0."""
        likeliest = self._eye.features(image_PHWC)[:, : len(SUBJECTS)].argmax(axis=1)
        return np.array([float(SUBJECTS[row] == subject) for row, subject in zip(likeliest, subjects, strict=True)])
