"""Scores of finished images: preference of a user vector, relevance to the title, aesthetic; and the image's vector.

Takes 8-bit images, as they are published, not the generator's floats. Knows the judges; nothing of the generator.
Legend: B images, C 3, H height, W width, E encoder width, V = 2E user vector.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icg_tasks.backbones.device import choose_compute
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.covers.versions import PREFERENCE
from icg_tasks.lake.registry import fetch_version, require_champion
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.rewards.context import RewardContext, RewardModels
from icg_tasks.models.rewards.table import REWARDS
from icg_tasks.stage import StageContext


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Scores of one image. ``aesthetic`` is NaN where no head is configured."""

    vector: NDArray[np.float32]  # unit [E]
    preference: float  # logit
    relevance: float  # cosine
    aesthetic: float

    @property
    def finite(self) -> bool:
        """Whether the scores by which it is chosen are numbers."""
        return bool(np.isfinite([self.preference, self.relevance]).all())


class CoverScorer:
    """The judges, loaded once."""

    def __init__(self, models: RewardModels, preference: PreferenceModel) -> None:
        if preference.encoder != models.encoder.identity:
            raise DataCorrupt(
                f"the preference model was trained on vectors of encoder {preference.encoder}, in use is "
                f"{models.encoder.identity}; run embed-items and what follows with this encoder"
            )
        self._models, self._preference = models, preference

    @classmethod
    def load(cls, context: StageContext) -> "CoverScorer":
        """With the preference champion as of the run date, on the configured device; raises DataMissing where there is none."""
        version = require_champion(context.store, PREFERENCE, context.run_date)
        folder = fetch_version(context.store, version, context.scratch("models"))
        models = RewardModels.load(context.settings.backbones, folder, choose_compute(context.settings.backbones).device)
        if models.preference is None:
            raise DataCorrupt(f"preference version {version.version} holds no model; train again")
        return cls(models, models.preference)

    @property
    def user_width(self) -> int:
        """V: width of a user vector."""
        return 2 * self._models.encoder.embedding_width

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._models.encoder.device

    def title(self, title: str) -> Tensor:
        """Unit vector [E] of a title."""
        return self._models.titles([title])[0]

    def relevance(self, pixels_1CHW: Tensor, title_E: Tensor) -> float:
        """Cosine of one image [1, 3, H, W] in [0, 1] and a title."""
        return float(self._models.encoder.embed_images(pixels_1CHW)[0] @ title_E)

    @torch.no_grad()
    def judge(self, images_BHWC: NDArray[np.uint8], titles_BE: Tensor, users_BV: Tensor) -> list[Judged]:
        """Scores of 8-bit images [B, H, W, 3], each for its own title and user vector (zeros = nobody special).

        A single title [E] holds for all.
        """
        device = self._models.encoder.device
        pixels_BCHW = torch.from_numpy(images_BHWC).to(device).permute(0, 3, 1, 2).float() / 255.0
        context = RewardContext(
            models=self._models, title_vectors=titles_BE.expand(len(pixels_BCHW), -1), user_vectors=users_BV.to(device)
        )
        vectors_BE = context.image_vectors(pixels_BCHW)
        preference_B = self._preference.score(context.user_vectors, vectors_BE, context.title_vectors)
        relevance_B = REWARDS["relevance"].function(pixels_BCHW, context)
        aesthetic_B = torch.full_like(relevance_B, torch.nan)
        if self._models.aesthetic is not None:
            aesthetic_B = REWARDS["aesthetic"].function(pixels_BCHW, context)
        columns = [column.double().cpu().tolist() for column in (preference_B, relevance_B, aesthetic_B)]
        vectors = vectors_BE.float().cpu().numpy()
        return [
            Judged(vector=vectors[row], preference=scores[0], relevance=scores[1], aesthetic=scores[2])
            for row, scores in enumerate(zip(*columns, strict=True))
        ]
