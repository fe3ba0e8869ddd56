"""The catalogue as it stands on a day: items come, are shown for a while, and are listed a little longer.

An item's number fixes everything about it: first day, subject, mood, look, titles, cover. Knows nothing of users or clicks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.config.settings import WorldSettings
from icg_tasks.world.attributes import ATTRIBUTE_VALUES, MOODS, SUBJECTS, CoverAttributes, attributes_from_indices
from icg_tasks.world.chance import day_number, day_of, newcomers_per_day, stream
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.stickers import draw_sticker, make_sticker_title
from icg_tasks.world.titles import make_title

LISTED_AFTER_LAST_SHOWN: Final = 21
"""Days an item stays in the catalogue after it is no longer shown, so that late rows still find it."""
APPEAL_SCALE: Final = 0.28
_REVISED_SHARE: Final = 0.35
_CATEGORIES: Final[dict[str, str]] = {
    "calm": "everyday life",
    "joyful": "family",
    "eerie": "mystery",
    "grand": "adventure",
    "tender": "romance",
    "lonely": "literary",
}


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """A kind of items: how one is drawn (attributes, seed, size) and what it is called (subject, mood, chance)."""

    draw: Callable[[CoverAttributes, int, int], NDArray[np.uint8]]
    title: Callable[[str, str, np.random.Generator], str]


CATALOGUES: Final[dict[str, Catalogue]] = {
    "covers": Catalogue(draw=draw_cover, title=make_title),
    "stickers": Catalogue(draw=draw_sticker, title=make_sticker_title),
}
"""What ``world.catalogue`` names."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item; ``appeal`` is in logits and has nothing to do with its cover."""

    number: int
    item_id: str
    attributes: CoverAttributes
    mood: str
    title: str
    category: str
    updated_on: date
    appeal: float
    catalogue: str = "covers"

    @property
    def image_name(self) -> str:
        """Key of its cover below raw/images."""
        return f"{self.item_id}.png"

    def draw(self, size: int = 64) -> NDArray[np.uint8]:
        """Its own cover, uint8 (size, size, 3)."""
        return CATALOGUES[self.catalogue].draw(self.attributes, self.number, size)


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The items listed on a day, by number; the last ``num_shown`` of them are the ones still shown."""

    items: list[Item]
    num_shown: int

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Item id to row."""
        return {item.item_id: row for row, item in enumerate(self.items)}

    @cached_property
    def subject_I(self) -> NDArray[np.int64]:
        """Index into SUBJECTS of each item."""
        return np.array([SUBJECTS.index(item.attributes.subject) for item in self.items])

    @cached_property
    def mood_I(self) -> NDArray[np.int64]:
        """Index into MOODS of each item."""
        return np.array([MOODS.index(item.mood) for item in self.items])

    @cached_property
    def appeal_I(self) -> NDArray[np.float64]:
        """Logit of each item whoever looks at it."""
        return np.array([item.appeal for item in self.items])

    @cached_property
    def features_IF(self) -> NDArray[np.float32]:
        """One-hot attributes of each own cover, in the order of ATTRIBUTE_VALUES: what the eye sees, without its doubt."""
        sizes = [len(values) for values in ATTRIBUTE_VALUES.values()]
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        features = np.zeros((len(self.items), sum(sizes)), dtype=np.float32)
        for row, item in enumerate(self.items):
            features[row, offsets + np.array(item.attributes.as_indices())] = 1.0
        return features


def shelf(settings: WorldSettings, day: date) -> Shelf:
    """The catalogue of a day: ``num_items`` shown, newest last, and before them those shown within the last three weeks."""
    number = day_number(day)
    per_day = newcomers_per_day(settings.new_items_per_day, settings.num_items)
    start, shown, stop = (
        per_day * max(0, number - LISTED_AFTER_LAST_SHOWN),
        per_day * number,
        per_day * number + settings.num_items,
    )
    items = [_item(settings, index, number, _first_day(settings.num_items, per_day, index)) for index in range(start, stop)]
    return Shelf(items=items, num_shown=stop - shown)


def _first_day(num_items: int, per_day: int, index: int) -> int:
    return max(0, -(-(index - num_items + 1) // per_day))


def _item(settings: WorldSettings, index: int, today: int, first_day: int) -> Item:
    rng, kind = stream(settings.seed, "item", index), CATALOGUES[settings.catalogue]
    attributes = attributes_from_indices(tuple(int(rng.integers(len(values))) for values in ATTRIBUTE_VALUES.values()))
    mood = MOODS[int(rng.integers(len(MOODS)))]
    title = kind.title(attributes.subject, mood, rng)
    revised_title = kind.title(attributes.subject, mood, rng)
    revised_day = first_day + 1 + int(rng.integers(160)) if rng.random() < _REVISED_SHARE else today + 1
    revised = revised_day <= today
    return Item(
        number=index,
        item_id=f"item-{index:06d}",
        attributes=attributes,
        mood=mood,
        title=revised_title if revised else title,
        category=_CATEGORIES[mood],
        updated_on=day_of(revised_day if revised else first_day),
        appeal=float(rng.normal(scale=APPEAL_SCALE)),
        catalogue=settings.catalogue,
    )
