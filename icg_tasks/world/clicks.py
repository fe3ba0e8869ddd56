"""The law of the embedded world: the logit of a click from user, item, the cover's visible attributes and the place.

``features`` are probabilities per attribute value (30 columns, order of ATTRIBUTE_VALUES): one-hot for drawn covers, soft for
any other image. A muddled image has diffuse probabilities, so it neither pleases nor shows what it is about, and loses.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.world.attributes import ATTRIBUTE_VALUES, SUBJECTS
from icg_tasks.world.items import Shelf
from icg_tasks.world.readers import Readers

BASE: Final = -3.12
RECOGNISED: Final = 0.8
"""Logit gained by an image that certainly shows its item's subject over one that certainly does not."""
NUM_FEATURES: Final = sum(len(values) for values in ATTRIBUTE_VALUES.values())
_LOOK: Final = slice(len(SUBJECTS), NUM_FEATURES)

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def topic_logit(readers: Readers, shelf: Shelf, user_rows: Rows, item_rows: Rows) -> Floats:
    """What user and item bring whatever the cover: base, leniency, appeal, taste in topic and mood. Broadcasts."""
    subject, mood = shelf.subject_I[item_rows], shelf.mood_I[item_rows]
    taste = readers.topic_US[user_rows, subject] + readers.mood_UM[user_rows, mood]
    return np.asarray(BASE + readers.leniency_U[user_rows] + shelf.appeal_I[item_rows] + taste, dtype=np.float64)


def look_logit(readers: Readers, shelf: Shelf, user_rows: Rows, item_rows: Rows, features_NF: NDArray[np.float32]) -> Floats:
    """What the cover brings, row by row: the user's taste in looks, and being recognised."""
    look = np.einsum("nl,nl->n", readers.look_UL[user_rows], features_NF[:, _LOOK])
    recognised = features_NF[np.arange(len(features_NF)), shelf.subject_I[item_rows]]
    return np.asarray(look + RECOGNISED * recognised, dtype=np.float64)


def sigmoid(logit: Floats) -> Floats:
    """Probability of a logit."""
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))
