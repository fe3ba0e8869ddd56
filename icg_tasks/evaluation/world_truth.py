"""The oracle's answers for evaluation: true click probability and logit of images, and the best achievable cover of each pair.

One of the files here that know the embedded world; used only where the data came from it. Nothing that trains sees this.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.contracts.holdout import is_held_out_user
from icg_tasks.evaluation.arms import BEST, HELD_OUT_LOGIT, LOGIT, PROBABILITY, SUBJECT, Segment
from icg_tasks.evaluation.judged import JudgedPairs
from icg_tasks.evaluation.making import Studio
from icg_tasks.evaluation.world_judge import Judge
from icg_tasks.stage import StageContext
from icg_tasks.world.attributes import CoverAttributes, all_looks
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.oracle import Oracle

_FIRST_SEED: Final = 50_000_000
"""Seeds of catalogue covers start here, far above any item's number."""
Pixels = NDArray[np.uint8]


def add_truth(context: StageContext, studio: Studio, judged: JudgedPairs) -> None:
    """Adds the best achievable arm to every pair, then the true values and the judge's word to every arm.

    The logit of held-out users is NaN where a segment has none.
    """
    oracle = Oracle.from_settings(context.settings, context.run_date)
    count, size = context.settings.evaluation.catalogue_covers, context.settings.covers.size_pixels
    seen = Path(context.settings.work_folder) / "catalogue_seen"
    catalogue = CatalogueCovers(oracle, count, size, seen, context.say)
    judge = Judge()
    for pair in judged.pairs:
        context.stop.check("the drawn items and the catalogue covers seen are kept")
        best = catalogue.best(pair.segment, pair.made.item.item_id, pair.made.own.image)
        judged.add_arms(studio, pair, {BEST: studio.scored(best, pair.made.item)})
        pair.ideals.extend(catalogue.ideals(pair.segment, pair.made.item.item_id))
    for pair in judged.pairs:
        item_id, arms = pair.made.item.item_id, list(pair.images)
        images = np.stack([pair.images[arm] for arm in arms])
        features = oracle.look_features(images)
        truth = oracle.segment_mean(pair.segment.user_ids, item_id, features)
        unseen = [user for user in pair.segment.user_ids if is_held_out_user(user)]
        held_out = oracle.segment_mean(unseen, item_id, features).logit_C if unseen else np.full(len(arms), np.nan)
        recognised = judge.subject_recognised(images, [oracle.subject_of(item_id)] * len(arms))
        for row, arm in enumerate(arms):
            pair.values[arm] |= {PROBABILITY: float(truth.probability_C[row]), LOGIT: float(truth.logit_C[row])}
            pair.values[arm] |= {SUBJECT: float(recognised[row]), HELD_OUT_LOGIT: float(held_out[row])}


class CatalogueCovers:
    """Covers the catalogue could have drawn of a subject: every look equally often, at least as many as asked for."""

    def __init__(self, oracle: Oracle, count: int, size: int, scratch: Path, say: Callable[[str], None]) -> None:
        looks = all_looks()
        self._looks = [looks[number % len(looks)] for number in range(-(-count // len(looks)) * len(looks))]
        self._oracle, self._size, self._scratch, self._say = oracle, size, scratch, say
        self._features: dict[str, NDArray[np.float32]] = {}

    def best(self, segment: Segment, item_id: str, own: Pixels) -> Pixels:
        """The cover of the item's subject with the highest mean true logit over the segment's users; its own one counts too."""
        subject = self._oracle.subject_of(item_id)
        features = np.concatenate([self._seen(subject), self._oracle.look_features(own[None])])
        row = self._oracle.best_cover(segment.user_ids, item_id, features)
        return own if row == len(self._looks) else self._draw(subject, row)

    def ideals(self, segment: Segment, item_id: str) -> list[Pixels]:
        """The best cover in each half of the catalogue's covers: twice what a segment wants, in different noise.

        Nothing where each look was drawn once only.
        """
        subject, every = self._oracle.subject_of(item_id), len(all_looks())
        features, turn = self._seen(subject), np.arange(len(self._looks)) // every
        if turn[-1] == 0:
            return []
        halves = [np.flatnonzero(turn % 2 == half) for half in range(2)]
        best = [rows[self._oracle.best_cover(segment.user_ids, item_id, features[rows])] for rows in halves]
        return [self._draw(subject, int(row)) for row in best]

    def _draw(self, subject: str, row: int) -> Pixels:
        return draw_cover(CoverAttributes(subject=subject, look=self._looks[row]), seed=_FIRST_SEED + row, size=self._size)

    def _seen(self, subject: str) -> NDArray[np.float32]:
        """What the eye sees in each of the subject's covers; kept on disk, named by all that it depends on."""
        if subject not in self._features:
            probe = np.stack([self._draw(subject, row) for row in range(0, len(self._looks), 37)])
            depends_on = hashlib.sha256(probe.tobytes() + self._oracle.look_features(probe).tobytes())
            path = self._scratch / f"{subject}-{len(self._looks)}-{depends_on.hexdigest()[:16]}.npy"
            if not path.exists():
                self._say(f"best achievable: looking at {len(self._looks)} catalogue covers of subject {subject}")
                drawn = np.stack([self._draw(subject, row) for row in range(len(self._looks))])
                self._scratch.mkdir(parents=True, exist_ok=True)
                half_written = path.with_suffix(f".{os.getpid()}.part.npy")
                np.save(half_written, self._oracle.look_features(drawn), allow_pickle=False)
                half_written.replace(path)
            self._features[subject] = np.load(path, allow_pickle=False)
        return self._features[subject]
