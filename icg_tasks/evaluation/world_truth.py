"""The oracle's answers for evaluation: true click probability and logit of images, and the best achievable cover of each pair.

One of the two files here that know the embedded world; used only where the data came from it. Nothing that trains sees this.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.evaluation.arms import Segment
from icg_tasks.world.attributes import CoverAttributes, all_looks
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.oracle import Oracle

_FIRST_SEED: Final = 50_000_000
"""Seeds of catalogue covers start here, far above any item's number."""
Images = NDArray[np.uint8]


def true_values(
    oracle: Oracle, segment: Segment, item_ids: Sequence[str], image_PHWC: Images
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean true click probability and logit over the segment's users, of each item under its image: two arrays (P,)."""
    features_PF = oracle.look_features(image_PHWC)
    truths = [oracle.segment_mean(segment.user_ids, item, features_PF[row : row + 1]) for row, item in enumerate(item_ids)]
    return np.array([truth.probability_C[0] for truth in truths]), np.array([truth.logit_C[0] for truth in truths])


class CatalogueCovers:
    """Covers the catalogue could have drawn of a subject: every look equally often, at least as many as asked for."""

    def __init__(self, oracle: Oracle, count: int, size: int, scratch: Path, say: Callable[[str], None]) -> None:
        looks = all_looks()
        self._looks = [looks[number % len(looks)] for number in range(-(-count // len(looks)) * len(looks))]
        self._oracle, self._size, self._scratch, self._say = oracle, size, scratch, say
        self._features: dict[str, NDArray[np.float32]] = {}

    def best(self, segment: Segment, item_id: str, own_HWC: Images) -> Images:
        """The cover of the item's subject with the highest mean true logit over the segment's users; its own one counts too."""
        subject = self._oracle.subject_of(item_id)
        features = np.concatenate([self._seen(subject), self._oracle.look_features(own_HWC[None])])
        row = self._oracle.best_cover(segment.user_ids, item_id, features)
        return own_HWC if row == len(self._looks) else self._draw(subject, row)

    def _draw(self, subject: str, row: int) -> Images:
        return draw_cover(CoverAttributes(subject=subject, look=self._looks[row]), seed=_FIRST_SEED + row, size=self._size)

    def _seen(self, subject: str) -> NDArray[np.float32]:
        """What the eye sees in each of the subject's covers; kept on disk, named by all that it depends on."""
        if subject not in self._features:
            probe = np.stack([self._draw(subject, row) for row in range(0, len(self._looks), 37)])
            depends_on = hashlib.sha256(probe.tobytes() + self._oracle.look_features(probe).tobytes())
            path = self._scratch / f"{subject}-{len(self._looks)}-{depends_on.hexdigest()[:16]}.npy"
            if not path.exists():
                self._say(f"best achievable: {len(self._looks)} covers of a {subject}")
                drawn = np.stack([self._draw(subject, row) for row in range(len(self._looks))])
                half_written = path.with_suffix(".part.npy")
                np.save(half_written, self._oracle.look_features(drawn), allow_pickle=False)
                half_written.replace(path)
            self._features[subject] = np.load(path, allow_pickle=False)
        return self._features[subject]
