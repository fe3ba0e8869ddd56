"""The twelve emblems, each a function that draws itself with a pen in a square from -1 to 1 (y downwards).

Knows shapes only: where the emblem stands and which colours it wears is the pen's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from PIL import ImageDraw

from icg_tasks.world.palettes import Colour, Palette, mixed

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Pen:
    """Draws in emblem units; ``centre`` and ``scale`` (half the emblem's side) are in canvas pixels."""

    canvas: ImageDraw.ImageDraw
    palette: Palette
    centre: Point
    scale: float

    def _at(self, point: Point) -> Point:
        return (self.centre[0] + point[0] * self.scale, self.centre[1] + point[1] * self.scale)

    def polygon(self, points: list[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self.canvas.polygon([self._at(point) for point in points], fill=colour)

    def ellipse(self, centre: Point, radius_x: float, radius_y: float, colour: Colour) -> None:
        """Fill an ellipse."""
        left, top = self._at((centre[0] - radius_x, centre[1] - radius_y))
        right, bottom = self._at((centre[0] + radius_x, centre[1] + radius_y))
        self.canvas.ellipse([left, top, right, bottom], fill=colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.ellipse(centre, radius, radius, colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        """Draw a joined line, ``width`` in emblem units."""
        thickness = max(1, round(width * self.scale))
        self.canvas.line([self._at(point) for point in points], fill=colour, width=thickness, joint="curve")


def _mountain(pen: Pen) -> None:
    ink = pen.palette
    pen.polygon([(0.05, 0.8), (0.5, -0.25), (1.0, 0.8)], mixed(ink.dark, ink.second, 0.45))
    pen.polygon([(-1.0, 0.8), (-0.2, -0.85), (0.62, 0.8)], ink.dark)
    pen.polygon([(-0.2, -0.85), (-0.49, -0.26), (-0.32, -0.38), (-0.18, -0.2), (-0.04, -0.38), (0.1, -0.25)], ink.light)


def _rocket(pen: Pen) -> None:
    ink = pen.palette
    pen.polygon([(-0.2, 0.5), (0.2, 0.5), (0.0, 1.0)], ink.light)
    pen.polygon([(-0.25, 0.0), (-0.62, 0.62), (-0.2, 0.46)], ink.accent)
    pen.polygon([(0.25, 0.0), (0.62, 0.62), (0.2, 0.46)], ink.accent)
    body = [(0.34 * math.sin(math.pi * t) ** 0.7, -1.0 + 1.5 * t) for t in (0.02, 0.12, 0.25, 0.4, 0.55, 0.7, 0.82)]
    outline = [(0.0, -1.0), *body, (0.2, 0.52), (-0.2, 0.52), *[(-x, y) for x, y in reversed(body)]]
    pen.polygon(outline, ink.dark)
    pen.disc((0.0, -0.3), 0.17, ink.light)


def _tree(pen: Pen) -> None:
    ink = pen.palette
    pen.polygon([(-0.12, 0.1), (0.12, 0.1), (0.2, 0.95), (-0.2, 0.95)], ink.accent)
    for centre, radius in (((-0.4, 0.0), 0.38), ((0.4, 0.0), 0.38), ((0.0, -0.42), 0.5), ((0.0, 0.05), 0.4)):
        pen.disc(centre, radius, ink.dark)
    for spot in ((-0.2, -0.45), (0.28, -0.16), (-0.38, 0.02)):
        pen.disc(spot, 0.1, ink.light)


def _house(pen: Pen) -> None:
    ink = pen.palette
    pen.box(0.36, -0.75, 0.58, -0.2, ink.accent)
    pen.box(-0.66, -0.12, 0.66, 0.85, ink.dark)
    pen.polygon([(-0.98, -0.08), (0.0, -0.92), (0.98, -0.08)], ink.accent)
    pen.box(-0.48, 0.08, -0.14, 0.4, ink.light)
    pen.box(0.12, 0.2, 0.46, 0.85, ink.light)


def _fish(pen: Pen) -> None:
    ink = pen.palette
    pen.polygon([(0.3, 0.0), (1.0, -0.52), (0.86, 0.0), (1.0, 0.52)], ink.accent)
    pen.polygon([(-0.3, -0.38), (0.12, -0.74), (0.3, -0.3)], ink.accent)
    pen.ellipse((-0.18, 0.0), 0.78, 0.46, ink.dark)
    pen.disc((-0.56, -0.1), 0.13, ink.light)
    pen.line([(-0.2, -0.28), (-0.1, 0.0), (-0.2, 0.28)], 0.09, ink.light)


def _cat(pen: Pen) -> None:
    ink = pen.palette
    for side in (-1.0, 1.0):
        pen.polygon([(0.74 * side, -0.92), (0.1 * side, -0.42), (0.72 * side, 0.1)], ink.dark)
        pen.polygon([(0.64 * side, -0.68), (0.34 * side, -0.42), (0.62 * side, -0.2)], ink.accent)
    pen.ellipse((0.0, 0.16), 0.78, 0.68, ink.dark)
    for side in (-1.0, 1.0):
        pen.ellipse((0.32 * side, 0.04), 0.15, 0.18, ink.light)
    pen.polygon([(-0.13, 0.36), (0.13, 0.36), (0.0, 0.54)], ink.accent)


def _cup(pen: Pen) -> None:
    ink = pen.palette
    pen.disc((0.52, 0.22), 0.38, ink.dark)
    pen.disc((0.52, 0.22), 0.2, ink.background)
    pen.polygon([(-0.76, -0.22), (0.56, -0.22), (0.4, 0.74), (-0.6, 0.74)], ink.dark)
    pen.box(-0.84, 0.74, 0.64, 0.9, ink.accent)
    for x in (-0.44, -0.1, 0.24):
        pen.line([(x, -0.38), (x + 0.09, -0.54), (x - 0.05, -0.72), (x + 0.06, -0.9)], 0.11, ink.light)


def _heart(pen: Pen) -> None:
    ink = pen.palette
    turn = [2 * math.pi * step / 40 for step in range(40)]
    outline = [
        (
            16 * math.sin(angle) ** 3 / 17,
            -(13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle)) / 17 - 0.08,
        )
        for angle in turn
    ]
    pen.polygon(outline, ink.dark)
    pen.ellipse((-0.42, -0.36), 0.19, 0.15, ink.light)


def _moon(pen: Pen) -> None:
    ink = pen.palette
    outer = [(math.cos(a) * 0.9, math.sin(a) * 0.9) for a in _angles(-1.02, -2 * math.pi + 1.02)]
    inner = [(0.36 + math.cos(a) * 0.76, math.sin(a) * 0.76) for a in _angles(-2 * math.pi + 1.48, -1.48)]
    pen.polygon([*outer, *inner], ink.dark)
    pen.disc((-0.58, -0.12), 0.12, ink.accent)
    pen.disc((-0.36, 0.5), 0.09, ink.accent)
    star = [(0.42 + math.cos(a) * r, -0.02 + math.sin(a) * r) for a, r in _star_corners(0.34, 0.13)]
    pen.polygon(star, ink.light)


def _angles(start: float, stop: float) -> list[float]:
    return [start + (stop - start) * step / 24 for step in range(25)]


def _star_corners(outer: float, inner: float) -> list[tuple[float, float]]:
    return [(math.pi * (step / 5 - 0.5), outer if step % 2 == 0 else inner) for step in range(10)]


def _sailboat(pen: Pen) -> None:
    ink = pen.palette
    pen.box(-0.05, -0.95, 0.05, 0.5, ink.dark)
    pen.polygon([(0.1, -0.92), (0.86, 0.32), (0.1, 0.32)], ink.light)
    pen.polygon([(-0.1, -0.66), (-0.7, 0.32), (-0.1, 0.32)], ink.accent)
    pen.polygon([(-0.96, 0.44), (0.96, 0.44), (0.62, 0.88), (-0.62, 0.88)], ink.dark)


def _key(pen: Pen) -> None:
    ink = pen.palette
    pen.box(-0.11, -0.2, 0.11, 0.96, ink.dark)
    pen.box(0.05, 0.4, 0.42, 0.58, ink.dark)
    pen.box(0.05, 0.76, 0.52, 0.94, ink.dark)
    pen.disc((0.0, -0.48), 0.5, ink.dark)
    pen.disc((0.0, -0.48), 0.25, ink.light)


def _flower(pen: Pen) -> None:
    ink = pen.palette
    pen.box(-0.07, 0.1, 0.07, 0.98, ink.accent)
    pen.ellipse((0.3, 0.7), 0.26, 0.13, ink.accent)
    pen.ellipse((-0.3, 0.58), 0.26, 0.13, ink.accent)
    for step in range(6):
        angle = math.pi * step / 3 + math.pi / 6
        pen.disc((0.42 * math.cos(angle), -0.3 + 0.42 * math.sin(angle)), 0.27, ink.dark)
    pen.disc((0.0, -0.3), 0.22, ink.light)


DRAW_SUBJECT: Final[dict[str, Callable[[Pen], None]]] = {
    "mountain": _mountain,
    "rocket": _rocket,
    "tree": _tree,
    "house": _house,
    "fish": _fish,
    "cat": _cat,
    "cup": _cup,
    "heart": _heart,
    "moon": _moon,
    "sailboat": _sailboat,
    "key": _key,
    "flower": _flower,
}
"""Subject name to the function that draws it."""
