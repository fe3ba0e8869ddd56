"""The oracle: the true probability that a user clicks an item under ANY cover, told from the cover's pixels.

Imported by evaluation alone (and tests); nothing that trains may see it. A user is known by the keyed hash, as everywhere
behind validation. True values are quoted at one reference place (home page, fourth cover): arms differ by their covers only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.pseudonym import pseudonym, pseudonym_key
from icg_tasks.world.attributes import SUBJECTS
from icg_tasks.world.clicks import NUM_FEATURES, Floats, Rows, look_logit, sigmoid, topic_logit
from icg_tasks.world.days import population
from icg_tasks.world.items import Shelf, shelf
from icg_tasks.world.positions import REFERENCE_POSITION, REFERENCE_SURFACE, position_bias
from icg_tasks.world.readers import Readers, reader_name, readers
from icg_tasks.world.sight import Eye, load_eye

_REMEMBERED_DAYS = 60


@dataclass(frozen=True, kw_only=True)
class SegmentTruth:
    """Means over a segment's users, one value per cover."""

    probability_C: Floats
    logit_C: Floats


class Oracle:
    """The truth of one world as of one day: its readers (of the last 60 days), its items, and an eye for pixels."""

    def __init__(self, people: Readers, catalogue: Shelf, eye: Eye, key: bytes) -> None:
        self._people, self._shelf, self._eye, self._key = people, catalogue, eye, key

    @classmethod
    def from_settings(cls, settings: Settings, run_date: date, eye: Eye | None = None) -> "Oracle":
        """The oracle of ``settings.world`` as of a date; needs the pseudonym key in the environment."""
        start, _ = population(settings.world, run_date - timedelta(days=_REMEMBERED_DAYS))
        _, stop = population(settings.world, run_date)
        people = readers(settings.world.seed, start, stop)
        return cls(people, shelf(settings.world, run_date), eye or load_eye(), pseudonym_key())

    def look_features(self, images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the eye sees in images, uint8 RGB: probabilities (B, 30)."""
        if images_BHWC.ndim != 4 or images_BHWC.shape[3] != 3 or images_BHWC.dtype != np.uint8:
            raise ValueError(f"expected uint8 images (B, H, W, 3), found {images_BHWC.dtype} {images_BHWC.shape}")
        return self._eye.features(images_BHWC)

    def subject_of(self, item_id: str) -> str:
        """What the item is about; raises DataMissing for an item this world does not list."""
        return SUBJECTS[int(self._shelf.subject_I[self._item_row(item_id)])]

    def click_logit(self, user_ids: Sequence[str], item_ids: Sequence[str], features_NF: NDArray[np.float32]) -> Floats:
        """True logit of each (user, item, cover) row at the reference place."""
        users = self._user_rows(user_ids)
        items = np.array([self._item_row(item_id) for item_id in item_ids], dtype=np.int64)
        return self._logit(users, items, features_NF)

    def segment_mean(self, user_ids: Sequence[str], item_id: str, features_CF: NDArray[np.float32]) -> SegmentTruth:
        """Mean true click probability and logit of one item over a set of users, for each of C covers."""
        users, item = self._user_rows(user_ids), self._item_row(item_id)
        probability, logit = np.empty(len(features_CF)), np.empty(len(features_CF))
        for row, features in enumerate(features_CF):
            true = self._logit(users, np.full(len(users), item), np.broadcast_to(features, (len(users), NUM_FEATURES)))
            probability[row], logit[row] = sigmoid(true).mean(), true.mean()
        return SegmentTruth(probability_C=probability, logit_C=logit)

    def best_cover(self, user_ids: Sequence[str], item_id: str, features_CF: NDArray[np.float32]) -> int:
        """Row of the cover with the highest mean true logit over these users (the law is linear, so the mean taste decides)."""
        look = self._people.look_UL[self._user_rows(user_ids)].mean(axis=0)
        mean_user = Readers(**{**vars(self._people), "look_UL": look[None, :]})
        count = len(features_CF)
        items = np.full(count, self._item_row(item_id))
        return int(np.argmax(look_logit(mean_user, self._shelf, np.zeros(count, np.int64), items, features_CF)))

    def _logit(self, users: Rows, items: Rows, features_NF: NDArray[np.float32]) -> Floats:
        place = position_bias(np.array([REFERENCE_SURFACE]), np.array([REFERENCE_POSITION]))
        found = topic_logit(self._people, self._shelf, users, items) + place
        return found + look_logit(self._people, self._shelf, users, items, features_NF)

    @cached_property
    def _row_of_user(self) -> dict[str, int]:
        return {pseudonym(reader_name(self._people.first + row), self._key): row for row in range(len(self._people))}

    def _user_rows(self, user_ids: Sequence[str]) -> Rows:
        if not len(user_ids):
            raise DataMissing("the oracle was asked about no users at all; a segment without users has no truth")
        try:
            return np.array([self._row_of_user[user_id] for user_id in user_ids], dtype=np.int64)
        except KeyError as error:
            raise DataMissing(
                f"user {error} is not of this world; use the world.seed, world.num_users and pseudonym key of the simulation"
            ) from error

    def _item_row(self, item_id: str) -> int:
        row = self._shelf.row_of.get(item_id)
        if row is None:
            raise DataMissing(f"item {item_id!r} is not of this world; use the world.seed and sizes of the simulation")
        return row
