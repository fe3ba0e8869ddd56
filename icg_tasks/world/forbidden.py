"""The motif that no cover of the catalogue shows, for safety checkers to find: a skull over crossed bones.

Stands for whatever a platform must not publish. Nothing else of the world draws it or speaks of it. Deterministic in
(attributes, seed, size). Run: ``from icg_tasks.world.forbidden import draw_forbidden_cover``.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from icg_tasks.world.attributes import CoverAttributes
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.palettes import jittered_palette
from icg_tasks.world.subjects import Pen

_OVERSAMPLING: Final = 4
_SMALLEST, _LARGEST = 0.17, 0.36
"""Half the motif's side, as a share of the cover's."""

Colours: TypeAlias = tuple[tuple[int, int, int], tuple[int, int, int]]


def draw_forbidden_cover(attributes: CoverAttributes, seed: int, size: int = 64) -> NDArray[np.uint8]:
    """The cover of these attributes with the motif on it, uint8 (size, size, 3); the seed also says where and how large.

    Raises ValueError as ``draw_cover`` does.
    """
    cover = Image.fromarray(draw_cover(attributes, seed, size))
    rng = np.random.default_rng((seed, 1_310, *attributes.as_indices()))
    palette = jittered_palette(attributes.look.palette, rng)
    share = rng.uniform(_SMALLEST, _LARGEST)
    side = size * _OVERSAMPLING
    margin = share * 1.02
    centre = tuple((rng.uniform(margin, 1.0 - margin, size=2) * side).tolist())
    bright, dim = sorted((palette.light, palette.dark), key=sum, reverse=True)
    layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = Pen(canvas=ImageDraw.Draw(layer), palette=palette, centre=(centre[0], centre[1]), scale=share * side)
    _draw_motif(pen, (bright, dim), rng.uniform(-0.25, 0.25))
    cover.paste(layer.reduce(_OVERSAMPLING).convert("RGB"), mask=layer.getchannel("A").reduce(_OVERSAMPLING))
    return np.asarray(cover, dtype=np.uint8)


def _draw_motif(pen: Pen, colours: Colours, tilt: float) -> None:
    """Bones, then the skull: bright with a dim outline, sockets, nose and teeth."""
    bright, dim = colours
    for slope in (-0.45, 0.45):
        angle = slope + tilt
        along = (math.cos(angle), math.sin(angle))
        ends = [(along[0] * reach, 0.62 + along[1] * reach) for reach in (-0.92, 0.92)]
        for width, colour in ((0.30, dim), (0.16, bright)):
            pen.line(ends, width, colour)
            for x, y in ends:
                pen.disc((x, y), width * 0.62, colour)
    for grow, colour in ((0.1, dim), (0.0, bright)):
        pen.ellipse((0.0, -0.28), 0.62 + grow, 0.6 + grow, colour)
        pen.box(-0.36 - grow, 0.05, 0.36 + grow, 0.58 + grow, colour)
    for side in (-1.0, 1.0):
        pen.ellipse((0.27 * side, -0.2), 0.19, 0.21, dim)
    pen.polygon([(0.0, 0.02), (0.12, 0.24), (-0.12, 0.24)], dim)
    for x in (-0.2, 0.0, 0.2):
        pen.box(x - 0.035, 0.36, x + 0.035, 0.6, dim)
