"""Draws a cover from its attributes: background, texture, layout, title bars, emblem, sparkles.

Deterministic in (attributes, seed, size). Does not know words, users or clicks.
Run: ``from icg_tasks.world import draw_cover``; pixels are uint8 RGB, height x width x 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from icg_tasks.world.attributes import CoverAttributes, Look
from icg_tasks.world.palettes import Colour, Palette, jittered_palette, mixed
from icg_tasks.world.subjects import DRAW_SUBJECT, Pen

_OVERSAMPLING: Final = 4
_TEXTURE_CONTRAST: Final = 0.62

Box: TypeAlias = tuple[float, float, float, float]
Emblem: TypeAlias = Callable[[Pen], None]


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """Where a layout puts things, in 64ths of the cover's side: the open area and the emblem's half side."""

    area: Box
    emblem_half_side: float


_STAGES: Final[dict[str, _Stage]] = {
    "full": _Stage(area=(0, 0, 64, 64), emblem_half_side=22.5),
    "band": _Stage(area=(0, 0, 64, 47), emblem_half_side=18.5),
    "spine": _Stage(area=(15, 0, 64, 64), emblem_half_side=18.5),
    "frame": _Stage(area=(8, 8, 56, 56), emblem_half_side=17.0),
}


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """A canvas whose coordinates are 64ths of the cover's side."""

    canvas: ImageDraw.ImageDraw
    unit: float

    def rectangle(self, box: Box, colour: Colour) -> None:
        left, top, right, bottom = (edge * self.unit for edge in box)
        self.canvas.rectangle([left, top, right - 1, bottom - 1], fill=colour)

    def border(self, inset: float, width: float, colour: Colour) -> None:
        far = 64 - inset
        self.rectangle((inset, inset, far, inset + width), colour)
        self.rectangle((inset, far - width, far, far), colour)
        self.rectangle((inset, inset, inset + width, far), colour)
        self.rectangle((far - width, inset, far, far), colour)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.canvas.polygon([(x * self.unit, y * self.unit) for x, y in points], fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        u = self.unit
        self.canvas.ellipse([(x - radius) * u, (y - radius) * u, (x + radius) * u, (y + radius) * u], fill=colour)


def _draw_texture(sheet: _Sheet, texture: str, palette: Palette, rng: np.random.Generator) -> None:
    colour = mixed(palette.background, palette.second, _TEXTURE_CONTRAST)
    phase_x, phase_y = rng.uniform(0.0, 10.0, size=2).tolist()
    if texture == "stripes":
        for start in np.arange(-74.0 + phase_x, 74.0, 10.0).tolist():
            sheet.polygon([(start, 64), (start + 5, 64), (start + 69, 0), (start + 64, 0)], colour)
    elif texture == "dots":
        for row, y in enumerate(np.arange(phase_y - 10.0, 70.0, 8.0).tolist()):
            for x in np.arange(phase_x - 10.0 + 5.0 * (row % 2), 70.0, 10.0).tolist():
                sheet.disc(x, y, 2.3, colour)
    elif texture == "checks":
        for row in range(-1, 9):
            for column in range(row % 2 - 2, 9, 2):
                left, top = column * 8 + phase_x * 0.8, row * 8 + phase_y * 0.8
                sheet.rectangle((left, top, left + 8, top + 8), colour)


def _draw_layout(sheet: _Sheet, layout: str, palette: Palette, rng: np.random.Generator) -> None:
    long_bar, short_bar = rng.uniform(0.75, 1.0), rng.uniform(0.4, 0.7)
    if layout == "band":
        sheet.rectangle((0, 47, 64, 64), palette.dark)
        sheet.rectangle((0, 47, 64, 48.5), palette.accent)
        sheet.rectangle((6, 51.5, 6 + 50 * long_bar, 55), palette.light)
        sheet.rectangle((6, 57.5, 6 + 50 * short_bar, 60.5), palette.light)
    elif layout == "spine":
        sheet.rectangle((0, 0, 15, 64), palette.dark)
        sheet.rectangle((13, 0, 15, 64), palette.accent)
        sheet.rectangle((2.5, 6, 6, 6 + 50 * long_bar), palette.light)
        sheet.rectangle((8, 6, 10.5, 6 + 50 * short_bar), palette.light)
    elif layout == "frame":
        for width, inset, colour in ((7.0, 0.0, palette.dark), (1.5, 4.0, palette.light)):
            sheet.border(inset, width, colour)


def _draw_sparkle(sheet: _Sheet, x: float, y: float, radius: float, colour: Colour) -> None:
    corners = [(math.pi * step / 4, radius if step % 2 == 0 else radius * 0.4) for step in range(8)]
    sheet.polygon([(x + reach * math.sin(angle), y + reach * math.cos(angle)) for angle, reach in corners], colour)


def _draw_sparkles(sheet: _Sheet, stage: _Stage, palette: Palette, rng: np.random.Generator) -> None:
    left, top, right, bottom = stage.area
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
    reach_x, reach_y = (right - left) / 2 - 4.5, (bottom - top) / 2 - 4.5
    count = int(rng.integers(7, 10))
    turn = rng.uniform(0.0, 2 * math.pi)
    for step in range(count):
        angle = turn + 2 * math.pi * step / count + rng.uniform(-0.15, 0.15)
        cosine, sine = math.cos(angle), math.sin(angle)
        stretch = rng.uniform(0.92, 1.0) / max(abs(cosine), abs(sine))
        x, y = centre_x + reach_x * cosine * stretch, centre_y + reach_y * sine * stretch
        colour = palette.accent if step % 2 == 0 else palette.light
        if step % 3 == 2:
            sheet.disc(x, y, rng.uniform(2.0, 2.6), colour)
        else:
            _draw_sparkle(sheet, x, y, rng.uniform(4.0, 5.0), colour)


def _draw_emblem(sheet: _Sheet, emblem: Emblem, stage: _Stage, palette: Palette, rng: np.random.Generator) -> None:
    left, top, right, bottom = stage.area
    shift_x, shift_y = rng.uniform(-1.5, 1.5, size=2).tolist()
    scale = stage.emblem_half_side * rng.uniform(0.92, 1.06)
    centre = (((left + right) / 2 + shift_x) * sheet.unit, ((top + bottom) / 2 + shift_y) * sheet.unit)
    emblem(Pen(canvas=sheet.canvas, palette=palette, centre=centre, scale=scale * sheet.unit))


def _draw_look(sheet: _Sheet, look: Look, palette: Palette, rng: np.random.Generator) -> _Stage:
    _draw_texture(sheet, look.texture, palette, rng)
    stage = _STAGES[look.layout]
    if look.density == "dense":
        stage = replace(stage, emblem_half_side=stage.emblem_half_side * 0.9)
        _draw_sparkles(sheet, stage, palette, rng)
    _draw_layout(sheet, look.layout, palette, rng)
    return stage


def draw_cover(attributes: CoverAttributes, seed: int, size: int = 64) -> NDArray[np.uint8]:
    """The cover's pixels, uint8 (size, size, 3); the seed moves position, scale, colours, texture and sparkles a little.

    Raises ValueError if the side is below 16 px or the seed is negative.
    """
    return draw_with(DRAW_SUBJECT[attributes.subject], attributes, seed, size)


def draw_with(emblem: Emblem, attributes: CoverAttributes, seed: int, size: int) -> NDArray[np.uint8]:
    """The same with any emblem; raises ValueError as ``draw_cover`` does."""
    if size < 16 or seed < 0:
        raise ValueError(f"size {size} px and seed {seed}: the side must be at least 16 px and the seed not negative")
    rng = np.random.default_rng((seed, *attributes.as_indices()))
    palette = jittered_palette(attributes.look.palette, rng)
    side = size * _OVERSAMPLING
    image = Image.new("RGB", (side, side), palette.background)
    sheet = _Sheet(canvas=ImageDraw.Draw(image), unit=side / 64)
    stage = _draw_look(sheet, attributes.look, palette, rng)
    _draw_emblem(sheet, emblem, stage, palette, rng)
    return np.asarray(image.reduce(_OVERSAMPLING), dtype=np.uint8)
