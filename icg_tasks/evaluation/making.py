"""Makes the images of the arms with the day's own engine: per item its own cover, unpersonalised and personalised candidates.

All arms share their seeds, so candidate n of one arm and candidate n of another differ by conditioning alone. Preference is
computed from image vectors, for any segment. Knows models and pixels; nothing of truth. Legend: E encoder width, V = 2E.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from icg_tasks.backbones.images import decode_image
from icg_tasks.covers.engine import CoverEngine, CoverRequest
from icg_tasks.covers.requests import rounded
from icg_tasks.covers.scorer import CoverScorer
from icg_tasks.covers.selection import choose
from icg_tasks.covers.versions import PREFERENCE
from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.arms import HeldOutItem, Segment
from icg_tasks.lake.registry import fetch_version, require_champion
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.stage import StageContext

Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """An image (H, W, 3) with its unit vector [E] and the scores that do not depend on who looks."""

    image: NDArray[np.uint8]
    vector: Vector
    relevance: float
    aesthetic: float


@dataclass(frozen=True, kw_only=True)
class ItemImages:
    """What was drawn for one item; ``personal`` has one list of candidates per segment, all lists of one length."""

    item: HeldOutItem
    title_vector: Vector
    own: Scored
    plain: list[Scored]
    personal: list[list[Scored]]


class Studio:
    """Engine, scorer and preference model of the day, loaded once."""

    def __init__(self, context: StageContext, engine: CoverEngine, scorer: CoverScorer, preference: PreferenceModel) -> None:
        self._context, self._engine, self._scorer, self._preference = context, engine, scorer, preference

    @classmethod
    def load(cls, context: StageContext) -> "Studio":
        """With the champions as of the run date; raises DataMissing where one is not there."""
        version = require_champion(context.store, PREFERENCE, context.run_date)
        folder = fetch_version(context.store, version, context.scratch("models"))
        return cls(context, CoverEngine.load(context), CoverScorer.load(context), PreferenceModel.load(folder))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of everything that decides the images."""
        return self._engine.versions.to_json()

    def make(self, item: HeldOutItem, segments: Sequence[Segment]) -> ItemImages:
        """All images of one item; raises DataCorrupt where its own cover cannot be read."""
        own = self.own_image(item)
        seeds = [_seed(self._context.settings.evaluation.seed, item.item_id, n) for n in range(self._best_of)]
        wanted: list[Vector | None] = [None, *(rounded(segment.vector) for segment in segments)]
        requests = [self._request(item, vector, seed) for vector in wanted for seed in seeds]
        made = [
            Scored(image=cover.image, vector=cover.vector, relevance=cover.relevance, aesthetic=cover.aesthetic)
            for cover in self._engine.generate(requests)
        ]
        lists = [made[start : start + self._best_of] for start in range(0, len(made), self._best_of)]
        title_vector = self._scorer.title(item.title).cpu().numpy()
        return ItemImages(item=item, title_vector=title_vector, own=self.scored(own, item), plain=lists[0], personal=lists[1:])

    def own_image(self, item: HeldOutItem) -> NDArray[np.uint8]:
        """The item's own cover (H, W, 3), decoded within the intake's bounds; raises DataCorrupt."""
        limits = self._context.settings.intake
        image = decode_image(item.image_bytes, max_bytes=limits.max_image_bytes, max_pixels=limits.max_image_pixels)
        return np.asarray(image.convert("RGB"), dtype=np.uint8)

    def scored(self, image: NDArray[np.uint8], item: HeldOutItem) -> Scored:
        """Any image, as a cover of this item."""
        nobody = torch.zeros(1, self._scorer.user_width)
        judged = self._scorer.judge(image[None], self._scorer.title(item.title), nobody)[0]
        return Scored(image=image, vector=judged.vector, relevance=judged.relevance, aesthetic=judged.aesthetic)

    def preferences(self, segment: Segment, title_vector: Vector, images: Sequence[Scored]) -> NDArray[np.float64]:
        """What the preference model expects the segment to think of each image, in logits."""
        count = len(images)
        user = torch.from_numpy(rounded(segment.vector)).expand(count, -1)
        vectors = torch.from_numpy(np.stack([one.vector for one in images]))
        title = torch.tensor(title_vector).expand(count, -1)
        with torch.no_grad():
            return np.asarray(self._preference.score(user, vectors, title).double().numpy())

    def best(self, segment: Segment, made: ItemImages, candidates: Sequence[Scored]) -> Scored:
        """The candidate that the day's own rule would keep for this segment."""
        preferences = self.preferences(segment, made.title_vector, candidates)
        slack = self._context.settings.covers.candidate_slack * abs(made.own.relevance)
        return candidates[choose(preferences.tolist(), [one.relevance for one in candidates], slack=slack)]

    @property
    def _best_of(self) -> int:
        return self._context.settings.evaluation.best_of

    def _request(self, item: HeldOutItem, vector: Vector | None, seed: int) -> CoverRequest:
        return CoverRequest(
            item_id=item.item_id,
            title=item.title,
            image_bytes=item.image_bytes,
            user_vector=vector,
            seed=seed,
            candidates=1,
            scale=self._context.settings.covers.personalisation,
        )


def _seed(base: int, item_id: str, number: int) -> int:
    text = f"evaluation/{base}/{item_id}/{number}"
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


def arm_images(studio: Studio, made: ItemImages, segment: Segment, row: int, swapped_row: int) -> dict[str, Scored]:
    """Arm to image for one pair, except the best achievable, which needs a truth."""
    return {
        names.OWN: made.own,
        names.PLAIN: made.plain[0],
        names.PLAIN_BEST: studio.best(segment, made, made.plain),
        names.PERSONAL: made.personal[row][0],
        names.PERSONAL_BEST: studio.best(segment, made, made.personal[row]),
        names.SWAPPED: made.personal[swapped_row][0],
    }
