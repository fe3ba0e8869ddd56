"""What happens on one day of the embedded world: who opens which page, what is shown, who clicks.

A page holds ten different items, some that a simple recommender thinks fit the user's topics and some at random. Knows nothing
of files, of rows that go wrong, or of how published covers are found.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.config.settings import WorldSettings
from icg_tasks.world.attributes import SUBJECTS
from icg_tasks.world.chance import day_number, newcomers_per_day, stream
from icg_tasks.world.clicks import Floats, Rows, look_logit, sigmoid, topic_logit
from icg_tasks.world.items import Shelf, shelf
from icg_tasks.world.positions import SLOTS, SURFACES, moments, position_bias
from icg_tasks.world.readers import Readers, readers

RECOMMENDED: Final = 0.5
"""Share of the recommender on a home page; the rest is drawn evenly."""
ASKED_FOR: Final = 0.85
SIMILAR: Final = 0.6
_SLOT_MILLISECONDS: Final = 350


@dataclass(frozen=True, kw_only=True)
class CoversUp:
    """Published covers as the platform looks them up: ``row_GIV`` gives the cover of (segment, item, variant) or -1.

    ``segment_U`` is the segment row of each reader (the last row of ``row_GIV`` is everybody's, the unpersonalised cover).
    """

    cover_ids: list[str]
    features_CF: NDArray[np.float32]
    segment_U: Rows
    row_GIV: Rows


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Who and what a day is made of."""

    readers: Readers
    shelf: Shelf
    covers: CoversUp | None = None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One row per cover shown on a day, in the order of time; rows point into the day's readers, shelf and covers."""

    user_N: Rows
    item_N: Rows
    surface_N: Rows
    position_N: Rows
    millisecond_N: Rows
    cover_N: Rows  # -1 = the item's own
    propensity_N: Floats
    clicked_N: NDArray[np.bool_]
    dwell_N: Floats  # NaN without a click

    def __len__(self) -> int:
        return len(self.user_N)


def population(settings: WorldSettings, day: date) -> tuple[int, int]:
    """Numbers of the users who are about on a day: from the first up to, not including, the second. Newest last."""
    start = newcomers_per_day(settings.new_users_per_day, settings.num_users) * day_number(day)
    return start, start + settings.num_users


def cast_of(settings: WorldSettings, day: date) -> Cast:
    """The day's users and items, without published covers."""
    return Cast(readers=readers(settings.seed, *population(settings, day)), shelf=shelf(settings, day))


def live(settings: WorldSettings, day: date, cast: Cast) -> Shown:
    """The day as it happens, from the seed and the date alone (and the covers that are up)."""
    rng = stream(settings.seed, "day", day_number(day))
    user_P, surface_P, moment_P = _pages(settings, cast.readers, rng)
    item_PS = _items_on_pages(cast, user_P, surface_P, rng)
    slots = item_PS.shape[1]
    user, surface = np.repeat(user_P, slots), np.repeat(surface_P, slots)
    position = np.tile(np.arange(slots), len(user_P))
    item = item_PS.reshape(-1)
    cover, propensity = _covers_shown(settings, cast, user, item, rng)
    logit = topic_logit(cast.readers, cast.shelf, user, item) + position_bias(surface, position)
    logit += look_logit(cast.readers, cast.shelf, user, item, _features(cast, item, cover))
    clicked = rng.random(len(user)) < sigmoid(logit)
    dwell = np.where(clicked, rng.lognormal(mean=3.6, sigma=0.9, size=len(user)).clip(1.0, 3_600.0).round(1), np.nan)
    return Shown(
        user_N=user,
        item_N=item,
        surface_N=surface,
        position_N=position,
        millisecond_N=(np.repeat(moment_P, slots) + position * _SLOT_MILLISECONDS).clip(max=86_399_999),
        cover_N=cover,
        propensity_N=propensity,
        clicked_N=clicked,
        dwell_N=dwell,
    )


def _pages(settings: WorldSettings, people: Readers, rng: np.random.Generator) -> tuple[Rows, Rows, Rows]:
    count = max(1, round(settings.impressions_per_day * rng.uniform(0.98, 1.02) / SLOTS))
    user = rng.choice(len(people), size=count, p=people.activity_U / people.activity_U.sum(dtype=np.float64))
    surface = rng.choice(len(SURFACES), size=count, p=[entry.share for entry in SURFACES])
    moment = np.sort(moments(rng, count))
    return user, surface, moment


def _items_on_pages(cast: Cast, user_P: Rows, surface_P: Rows, rng: np.random.Generator) -> Rows:
    """Rows of the shelf, pages x slots: drawn without replacement by weight, likelier ones tending to the front."""
    first_shown = len(cast.shelf.items) - cast.shelf.num_shown
    subject_I = cast.shelf.subject_I[first_shown:]
    weight_PS = _subject_weights(cast.readers.topic_US[user_P], surface_P, subject_I, rng)
    keys = rng.standard_exponential((len(user_P), len(subject_I)), dtype=np.float32)
    keys /= weight_PS[:, subject_I]
    slots = min(SLOTS, len(subject_I))
    front = np.argpartition(keys, slots - 1, axis=1)[:, :slots] if slots < len(subject_I) else np.argsort(keys, axis=1)
    order = np.argsort(np.take_along_axis(keys, front, axis=1), axis=1)
    return np.asarray(np.take_along_axis(front, order, axis=1) + first_shown)


def _subject_weights(
    topic_PS: NDArray[np.float32], surface_P: Rows, subject_I: Rows, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Weight of one item of each subject on each page: home = what the user likes, search and similar = one subject."""
    count_S = np.bincount(subject_I, minlength=len(SUBJECTS)).clip(min=1)
    liked_PS = np.exp(topic_PS - topic_PS.max(axis=1, keepdims=True))
    liked_PS = liked_PS / liked_PS.sum(axis=1, keepdims=True)
    asked_P = (liked_PS.cumsum(axis=1) < rng.random((len(topic_PS), 1))).sum(axis=1).clip(max=len(SUBJECTS) - 1)
    asked_PS = np.eye(len(SUBJECTS), dtype=np.float32)[asked_P]
    aim_PS = np.where(surface_P[:, None] == 0, liked_PS, asked_PS)
    share_P = np.array([RECOMMENDED, ASKED_FOR, SIMILAR])[surface_P]
    weights = share_P[:, None] * aim_PS / count_S + (1 - share_P[:, None]) / len(subject_I)
    return np.asarray(weights, dtype=np.float32)


def _covers_shown(settings: WorldSettings, cast: Cast, user: Rows, item: Rows, rng: np.random.Generator) -> tuple[Rows, Floats]:
    """Which published cover each row shows (-1 = own) and with what probability it was chosen."""
    explore, pick = rng.random(len(user)), rng.random(len(user))
    if cast.covers is None:
        return np.full(len(user), -1), np.ones(len(user))
    up = cast.covers
    row_NV = up.row_GIV[up.segment_U[user], item]
    row_NV = np.where((row_NV >= 0).any(axis=1, keepdims=True), row_NV, up.row_GIV[-1, item])
    variants = (row_NV >= 0).sum(axis=1)
    chosen = np.take_along_axis(row_NV, np.floor(pick * variants)[:, None].astype(np.int64), axis=1)[:, 0]
    own = (variants == 0) | (explore < settings.exploration)
    propensity = np.where(own, settings.exploration, (1 - settings.exploration) / variants.clip(min=1))
    return np.where(own, -1, chosen), np.where(variants == 0, 1.0, propensity)


def _features(cast: Cast, item: Rows, cover: Rows) -> NDArray[np.float32]:
    own = cast.shelf.features_IF[item]
    if cast.covers is None or not len(cast.covers.cover_ids):
        return own
    return np.where((cover >= 0)[:, None], cast.covers.features_CF[cover], own)
