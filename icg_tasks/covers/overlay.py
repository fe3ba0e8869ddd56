"""Writes an item's title on its cover: broken into lines by the font's own metrics, as large as it goes, inside safe margins.

Off by default (``covers.title_overlay``). A title that does not fit, or has letters that the font lacks, is told, never cut or
drawn as boxes. Knows pixels and a font; no item. Legend: H height, W width, C 3 channels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from icg_tasks.contracts.errors import SettingsError

TOO_LONG = "title_does_not_fit"
NO_GLYPHS = "title_lacks_glyphs"
SAFE_MARGIN = 0.06
"""Share of each side that stays free: shops round corners and crop edges."""
MAX_HEIGHT = 0.45
"""Share of the height that a title may cover."""
LARGEST, SMALLEST, SMALLEST_PIXELS = 0.14, 0.05, 8
"""Sizes of letters that are tried, as shares of the height; never fewer than so many pixels."""
_PADDING = 0.25
_SHADE = 150
_NO_CHARACTER = "\U0010fffe"

Font = ImageFont.FreeTypeFont
Image8 = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A title's lines at one size, and the box (left, top, right, bottom) in pixels that their ink may fill."""

    font: Font
    lines: tuple[str, ...]
    box: tuple[int, int, int, int]


class TitleOverlay:
    """Draws titles with one font."""

    def __init__(self, font_file: str = "") -> None:
        """``font_file`` empty: the font that comes with Pillow. Raises SettingsError where it is no font."""
        self._file = font_file
        self._fonts: dict[int, Font] = {}
        self._known: dict[str, bool] = {}
        self._font(SMALLEST_PIXELS)

    def draw(self, image_HWC: Image8, title: str) -> Image8 | str:
        """The image with its title, or why it cannot have one."""
        text = " ".join(title.split())
        if not all(self._has(letter) for letter in set(text)):
            return NO_GLYPHS
        height, width = image_HWC.shape[:2]
        layout = self.layout(text, width, height)
        if layout is None:
            return TOO_LONG
        image = Image.fromarray(image_HWC).convert("RGBA")
        shade = Image.new("RGBA", image.size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(shade)
        left, top, right, _ = layout.box
        room = round(_PADDING * layout.font.size)
        pen.rectangle((max(0, left - room), max(0, top - room), min(width, right + room), height), fill=(0, 0, 0, _SHADE))
        for number, line in enumerate(layout.lines):
            place = (left, top + number * _line_height(layout.font))
            pen.text(place, line, font=layout.font, fill=(255, 255, 255, 255), anchor="la")
        return np.asarray(Image.alpha_composite(image, shade).convert("RGB"))

    def layout(self, text: str, width: int, height: int) -> Layout | None:
        """The largest size at which the words fit, at the foot of the safe area; None where none does."""
        margin_x, margin_y = round(SAFE_MARGIN * width), round(SAFE_MARGIN * height)
        room_x, room_y = width - 2 * margin_x, min(MAX_HEIGHT * height, height - 2 * margin_y)
        largest, smallest = (max(SMALLEST_PIXELS, round(share * height)) for share in (LARGEST, SMALLEST))
        for size in range(largest, smallest - 1, -1):
            font = self._font(size)
            lines = _broken(text, font, room_x)
            tall = len(lines or ()) * _line_height(font)
            if lines and tall <= room_y:
                bottom = height - margin_y
                return Layout(font=font, lines=tuple(lines), box=(margin_x, bottom - tall, width - margin_x, bottom))
        return None

    def _font(self, size: int) -> Font:
        if size not in self._fonts:
            try:
                found = ImageFont.truetype(self._file, size) if self._file else ImageFont.load_default(size)
            except OSError as error:
                raise SettingsError(f"covers.title_font {self._file!r} is no font that can be read: {error}") from error
            if not isinstance(found, ImageFont.FreeTypeFont):
                raise SettingsError("this Pillow was built without FreeType, which covers.title_overlay needs")
            self._fonts[size] = found
        return self._fonts[size]

    def _has(self, letter: str) -> bool:
        """Whether the font has a shape of its own for a letter."""
        if letter not in self._known:
            font = self._font(32)
            missing = bytes(font.getmask(_NO_CHARACTER))
            self._known[letter] = letter.isspace() or bytes(font.getmask(letter)) not in {missing, b""}
        return self._known[letter]


def _broken(text: str, font: Font, room: float) -> list[str] | None:
    """Words put into lines no wider than ``room`` (pixels), None where a word alone is wider."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _ink_right(font, longer) <= room:
            lines[-1] = longer
        elif _ink_right(font, word) <= room:
            lines.append(word)
        else:
            return None
    return lines


def _ink_right(font: Font, line: str) -> float:
    """Pixels from the pen's start to the last ink or the pen's end, whichever is further."""
    return max(font.getlength(line), font.getbbox(line, anchor="la")[2])


def _line_height(font: Font) -> int:
    ascent, descent = font.getmetrics()
    return ascent + descent
