"""The eight palettes as five colours each, and their small seeded jitter.

Does not know shapes or layouts. Colours are RGB, 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

Colour: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Roles: ``background`` and ``second`` carry the texture, ``dark`` the emblem, ``accent`` and ``light`` its details."""

    background: Colour
    second: Colour
    dark: Colour
    accent: Colour
    light: Colour


PALETTE_COLOURS: Final[dict[str, Palette]] = {
    "sunset": Palette(
        background=(255, 186, 92), second=(247, 128, 66), dark=(94, 28, 84), accent=(214, 50, 74), light=(255, 240, 196)
    ),
    "ocean": Palette(
        background=(122, 196, 232), second=(62, 140, 204), dark=(10, 40, 94), accent=(0, 110, 150), light=(240, 252, 255)
    ),
    "forest": Palette(
        background=(158, 204, 112), second=(88, 158, 80), dark=(18, 62, 40), accent=(120, 92, 30), light=(248, 244, 190)
    ),
    "neon": Palette(
        background=(22, 14, 50), second=(92, 34, 150), dark=(255, 42, 180), accent=(20, 232, 240), light=(236, 255, 90)
    ),
    "pastel": Palette(
        background=(252, 234, 244), second=(214, 206, 250), dark=(240, 134, 172), accent=(122, 160, 238), light=(255, 250, 176)
    ),
    "mono": Palette(
        background=(214, 214, 216), second=(154, 154, 158), dark=(28, 28, 30), accent=(96, 96, 100), light=(255, 255, 255)
    ),
    "sepia": Palette(
        background=(226, 204, 164), second=(188, 154, 108), dark=(78, 50, 30), accent=(142, 92, 50), light=(250, 240, 216)
    ),
    "ruby": Palette(
        background=(168, 16, 48), second=(112, 6, 38), dark=(255, 222, 206), accent=(238, 104, 88), light=(252, 190, 70)
    ),
}

_JITTER_LEVELS: Final = 8


def _shifted(colour: Colour, shift: tuple[int, ...]) -> Colour:
    red, green, blue = (min(255, max(0, channel + delta)) for channel, delta in zip(colour, shift, strict=True))
    return (red, green, blue)


def jittered_palette(name: str, rng: np.random.Generator) -> Palette:
    """The named palette, every colour moved by up to 8 levels per channel; raises KeyError on an unknown name."""
    palette = PALETTE_COLOURS[name]
    shifts = [tuple(row) for row in rng.integers(-_JITTER_LEVELS, _JITTER_LEVELS + 1, size=(5, 3)).tolist()]
    if name == "mono":
        shifts = [(shift[0],) * 3 for shift in shifts]
    return Palette(
        background=_shifted(palette.background, shifts[0]),
        second=_shifted(palette.second, shifts[1]),
        dark=_shifted(palette.dark, shifts[2]),
        accent=_shifted(palette.accent, shifts[3]),
        light=_shifted(palette.light, shifts[4]),
    )


def mixed(first: Colour, other: Colour, share: float) -> Colour:
    """``first`` with ``share`` (0 to 1) of ``other``.

    >>> mixed((0, 0, 0), (200, 100, 50), 0.5)
    (100, 50, 25)
    """
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, other, strict=True))
    return (red, green, blue)
