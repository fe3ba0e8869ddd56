"""What a cover of the embedded world is made of: one subject and one look.

Knows the names of the attributes and how to draw a combination at random. It does not know how anything is drawn or worded.
Run nothing here; ``from icg_tasks.world import CoverAttributes, sample_attributes``.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

SUBJECTS: Final = (
    "mountain",
    "rocket",
    "tree",
    "house",
    "fish",
    "cat",
    "cup",
    "heart",
    "moon",
    "sailboat",
    "key",
    "flower",
)
PALETTES: Final = ("sunset", "ocean", "forest", "neon", "pastel", "mono", "sepia", "ruby")
LAYOUTS: Final = ("full", "band", "spine", "frame")
TEXTURES: Final = ("plain", "stripes", "dots", "checks")
DENSITIES: Final = ("sparse", "dense")
MOODS: Final = ("calm", "joyful", "eerie", "grand", "tender", "lonely")

ATTRIBUTE_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "subject": SUBJECTS,
    "palette": PALETTES,
    "layout": LAYOUTS,
    "texture": TEXTURES,
    "density": DENSITIES,
}
"""Name of each visible attribute and its values, in the order used by every classifier of the zoo."""


class UnknownAttributeError(ValueError):
    """An attribute has a value outside its catalogue."""


def _require(name: str, value: str) -> None:
    if value not in ATTRIBUTE_VALUES[name]:
        raise UnknownAttributeError(f"{name} is {value!r}; use one of {', '.join(ATTRIBUTE_VALUES[name])}")


@dataclass(frozen=True, kw_only=True)
class Look:
    """Everything visible about a cover except its subject; raises UnknownAttributeError on an unknown value."""

    palette: str
    layout: str
    texture: str
    density: str

    def __post_init__(self) -> None:
        for name in ("palette", "layout", "texture", "density"):
            _require(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class CoverAttributes:
    """A subject in a look; raises UnknownAttributeError on an unknown subject."""

    subject: str
    look: Look

    def __post_init__(self) -> None:
        _require("subject", self.subject)

    def as_dict(self) -> dict[str, str]:
        """Attribute name to value, in the order of ATTRIBUTE_VALUES."""
        look = self.look
        return {
            "subject": self.subject,
            "palette": look.palette,
            "layout": look.layout,
            "texture": look.texture,
            "density": look.density,
        }

    def as_indices(self) -> tuple[int, ...]:
        """Position of each value in its tuple of ATTRIBUTE_VALUES, in that order."""
        return tuple(ATTRIBUTE_VALUES[name].index(value) for name, value in self.as_dict().items())


def attributes_from_indices(indices: tuple[int, ...]) -> CoverAttributes:
    """Inverse of CoverAttributes.as_indices.

    >>> attributes_from_indices((1, 0, 0, 0, 0)).subject
    'rocket'
    """
    named = {name: values[index] for (name, values), index in zip(ATTRIBUTE_VALUES.items(), indices, strict=True)}
    subject = named.pop("subject")
    return CoverAttributes(subject=subject, look=Look(**named))


def all_looks() -> tuple[Look, ...]:
    """Every look once, palettes varying slowest."""
    return tuple(
        Look(palette=palette, layout=layout, texture=texture, density=density)
        for palette, layout, texture, density in product(PALETTES, LAYOUTS, TEXTURES, DENSITIES)
    )


def sample_attributes(rng: np.random.Generator) -> CoverAttributes:
    """Each attribute uniform and independent of the others."""
    return attributes_from_indices(tuple(int(rng.integers(len(values))) for values in ATTRIBUTE_VALUES.values()))


def stable_hash(text: str) -> int:
    """A 32-bit hash of a text that is the same in every process, for seeds and splits."""
    return zlib.crc32(text.encode("utf-8"))
