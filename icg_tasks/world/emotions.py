"""The twelve emotions of the sticker catalogue: faces that draw themselves with a pen in a square from -1 to 1 (y downwards).

A face is cut out with a white rim and a shadow, as stickers are. Knows shapes only; emotion n takes the place of subject n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from icg_tasks.world.palettes import Colour, mixed
from icg_tasks.world.subjects import Pen, Point

EMOTIONS: Final = (
    "joy",
    "sadness",
    "anger",
    "fear",
    "surprise",
    "disgust",
    "love",
    "pride",
    "sleepiness",
    "confusion",
    "calm",
    "boredom",
)
_RIM: Final[Colour] = (255, 255, 255)
_EYE_X, _EYE_Y = 0.34, -0.14


def _light(colour: Colour) -> float:
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def _skin(pen: Pen) -> Colour:
    return mixed(pen.palette.light, pen.palette.accent, 0.18)


def _ink(pen: Pen) -> Colour:
    """Whatever of the palette stands out most from the skin."""
    skin = _light(_skin(pen))
    return max((pen.palette.dark, pen.palette.second), key=lambda colour: abs(_light(colour) - skin))


def _arc(centre: Point, radius_x: float, radius_y: float, start: float, stop: float) -> list[Point]:
    """Points along an ellipse; angles in turns, 0 to the right, a quarter down."""
    angles = [2 * math.pi * (start + (stop - start) * step / 16) for step in range(17)]
    return [(centre[0] + radius_x * math.cos(angle), centre[1] + radius_y * math.sin(angle)) for angle in angles]


def _face(pen: Pen, skin: Colour | None = None) -> None:
    pen.disc((0.05, 0.1), 0.99, mixed(pen.palette.background, (0, 0, 0), 0.35))
    pen.disc((0.0, 0.0), 1.0, _RIM)
    pen.disc((0.0, 0.0), 0.86, skin or _skin(pen))


def _both(draw: Callable[[float], None]) -> None:
    for side in (-1.0, 1.0):
        draw(side)


def _dots(pen: Pen, radius: float = 0.12) -> None:
    _both(lambda side: pen.disc((_EYE_X * side, _EYE_Y), radius, _ink(pen)))


def _wide(pen: Pen, pupil: float) -> None:
    def eye(side: float) -> None:
        pen.disc((_EYE_X * side, _EYE_Y - 0.05), 0.25, _ink(pen))
        pen.disc((_EYE_X * side, _EYE_Y - 0.05), 0.2, _RIM)
        pen.disc((_EYE_X * side, _EYE_Y - 0.05), pupil, _ink(pen))

    _both(eye)


def _lids(pen: Pen, *, upwards: bool) -> None:
    turn = (0.55, 0.95) if upwards else (0.05, 0.45)
    _both(lambda side: pen.line(_arc((_EYE_X * side, _EYE_Y), 0.2, 0.18, *turn), 0.11, _ink(pen)))


def _brows(pen: Pen, inner: float, outer: float) -> None:
    _both(lambda side: pen.line([(0.14 * side, inner), (0.58 * side, outer)], 0.11, _ink(pen)))


def _smile(pen: Pen, depth: float = 0.34) -> None:
    pen.line(_arc((0.0, 0.18), 0.46, depth, 0.04, 0.46), 0.12, _ink(pen))


def _heart(pen: Pen, centre: Point, size: float, colour: Colour) -> None:
    x, y = centre
    _both(lambda side: pen.disc((x + 0.5 * size * side, y - 0.3 * size), 0.56 * size, colour))
    pen.polygon([(x - 1.0 * size, y - 0.08 * size), (x + 1.0 * size, y - 0.08 * size), (x, y + 1.05 * size)], colour)


def _joy(pen: Pen) -> None:
    _face(pen)
    _lids(pen, upwards=True)
    pen.polygon(_arc((0.0, 0.14), 0.5, 0.52, 0.0, 0.5), _ink(pen))
    pen.ellipse((0.0, 0.5), 0.24, 0.12, pen.palette.accent)


def _sadness(pen: Pen) -> None:
    _face(pen)
    _dots(pen)
    _brows(pen, -0.5, -0.34)
    pen.line(_arc((0.0, 0.62), 0.36, 0.24, 0.56, 0.94), 0.12, _ink(pen))
    pen.polygon([(0.42, 0.08), (0.28, 0.4), (0.56, 0.4)], pen.palette.accent)
    pen.disc((0.42, 0.42), 0.14, pen.palette.accent)


def _anger(pen: Pen) -> None:
    _face(pen, mixed(pen.palette.accent, pen.palette.light, 0.35))
    _dots(pen, 0.11)
    _brows(pen, -0.24, -0.5)
    pen.line(_arc((0.0, 0.6), 0.42, 0.2, 0.55, 0.95), 0.15, _ink(pen))


def _fear(pen: Pen) -> None:
    _face(pen)
    _wide(pen, 0.07)
    wave = [(-0.45 + 0.15 * step, 0.5 + (0.09 if step % 2 else -0.09)) for step in range(7)]
    pen.line(wave, 0.11, _ink(pen))
    pen.ellipse((0.68, -0.42), 0.1, 0.16, pen.palette.accent)


def _surprise(pen: Pen) -> None:
    _face(pen)
    _wide(pen, 0.12)
    _both(lambda side: pen.line(_arc((_EYE_X * side, -0.42), 0.2, 0.14, 0.58, 0.92), 0.09, _ink(pen)))
    pen.ellipse((0.0, 0.46), 0.2, 0.27, _ink(pen))


def _disgust(pen: Pen) -> None:
    _face(pen)
    _both(lambda side: pen.line([(0.2 * side, -0.06), (0.52 * side, -0.24)], 0.12, _ink(pen)))
    _both(lambda side: pen.line([(0.2 * side, -0.06), (0.52 * side, 0.06)], 0.12, _ink(pen)))
    pen.line([(-0.44, 0.36), (0.44, 0.36)], 0.12, _ink(pen))
    pen.ellipse((0.12, 0.52), 0.19, 0.22, pen.palette.accent)


def _love(pen: Pen) -> None:
    _face(pen)
    _both(lambda side: _heart(pen, (0.37 * side, -0.16), 0.24, pen.palette.accent))
    _smile(pen, 0.4)


def _pride(pen: Pen) -> None:
    _face(pen)
    pen.polygon([(-0.5, -0.56), (-0.6, -1.0), (-0.22, -0.8), (0.0, -1.06), (0.22, -0.8), (0.6, -1.0), (0.5, -0.56)], _ink(pen))
    _lids(pen, upwards=False)
    pen.line([(-0.3, 0.42), (0.1, 0.48), (0.42, 0.26)], 0.12, _ink(pen))


def _sleepiness(pen: Pen) -> None:
    _face(pen)
    _lids(pen, upwards=False)
    pen.ellipse((-0.08, 0.44), 0.15, 0.12, _ink(pen))
    for x, y, size in ((0.42, -0.5, 0.16), (0.66, -0.82, 0.24)):
        corners = [(x - size, y - size), (x + size, y - size), (x - size, y + size), (x + size, y + size)]
        pen.line(corners, 0.1, _ink(pen))


def _confusion(pen: Pen) -> None:
    _face(pen)
    pen.disc((-_EYE_X, _EYE_Y), 0.16, _ink(pen))
    pen.disc((_EYE_X, _EYE_Y), 0.09, _ink(pen))
    pen.line([(0.14, -0.42), (0.58, -0.56)], 0.1, _ink(pen))
    pen.line([(-0.36, 0.5), (-0.12, 0.34), (0.12, 0.5), (0.36, 0.34)], 0.11, _ink(pen))


def _calm(pen: Pen) -> None:
    _face(pen)
    _lids(pen, upwards=False)
    _smile(pen, 0.2)
    _both(lambda side: pen.ellipse((0.58 * side, 0.2), 0.15, 0.1, mixed(_skin(pen), pen.palette.accent, 0.5)))


def _boredom(pen: Pen) -> None:
    def eye(side: float) -> None:
        pen.polygon(_arc((_EYE_X * side, _EYE_Y), 0.21, 0.21, 0.0, 0.5), _ink(pen))
        pen.line([((_EYE_X - 0.24) * side, _EYE_Y), ((_EYE_X + 0.24) * side, _EYE_Y)], 0.09, _ink(pen))

    _face(pen)
    _both(eye)
    pen.line([(-0.34, 0.44), (0.34, 0.44)], 0.12, _ink(pen))


DRAW_EMOTION: Final[dict[str, Callable[[Pen], None]]] = dict(
    zip(
        EMOTIONS,
        (_joy, _sadness, _anger, _fear, _surprise, _disgust, _love, _pride, _sleepiness, _confusion, _calm, _boredom),
        strict=True,
    )
)
"""Emotion to the function that draws it."""
