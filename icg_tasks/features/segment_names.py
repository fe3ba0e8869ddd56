"""A name and an icon for a segment, out of what its users like: topics of its history, and how those covers look.

A look is told by five plain measures of a cover's pixels (light, colourful, warm, busy, contrast); a word is used where the
history lies clearly to one side of the catalogue. Names are for people: nothing is trained on them or keyed by them. Knows
pixels, titles and categories as given; no store. Legend: I items, S side of a thumbnail, M measures.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

LOOKS = (("light", "dark"), ("colourful", "muted"), ("warm", "cool"), ("busy", "plain"), ("contrasty", "soft"))
"""Words for a measure well above and well below the catalogue's."""
_CLEAR = 0.4
"""Deviations of single covers by which a history's mean must differ."""
_LIFT = 1.25
_WORDS = 2
_COLOURS = 4
_LEVELS = 6
_COMMON_SHARE = 0.05
_WORD = re.compile(r"[^\W\d_]{4,}")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Item:
    """What is known of an item; ``pixels`` [S, S, 3] may be missing."""

    title: str
    category: str
    pixels: Pixels | None


@dataclass(frozen=True, kw_only=True)
class SegmentName:
    """Words of a segment, most telling first, and its icon as an SVG element for an HTML page."""

    topics: list[str]
    looks: list[str]
    icon: str

    @property
    def text(self) -> str:
        """Both in one line.

        >>> SegmentName(topics=["romance"], looks=["dark", "warm"], icon="").text
        'Dark, warm · romance'
        """
        looks = ", ".join(self.looks)
        return " · ".join(part for part in (looks[:1].upper() + looks[1:], ", ".join(self.topics)) if part) or "Mixed tastes"


def look_of(pixels: Pixels) -> NDArray[np.float64]:
    """The five measures [M] of a cover: lightness, chroma, warmth (red over blue), edges, contrast; about 0 to 1.

    >>> look_of(np.zeros((4, 4, 3), dtype=np.uint8)).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    values = pixels.astype(np.float64) / 255.0
    light = values @ np.array([0.299, 0.587, 0.114])
    chroma = values.max(axis=2) - values.min(axis=2)
    edges = np.abs(np.diff(light, axis=0)).mean() + np.abs(np.diff(light, axis=1)).mean()
    warmth = (values[..., 0] - values[..., 2]).mean()
    return np.array([light.mean(), chroma.mean(), warmth, edges, light.std()])


def name_segments(histories: Mapping[str, Sequence[Item]], catalogue: Sequence[Item]) -> dict[str, SegmentName]:
    """A name for each segment from its history (most telling items first); the catalogue says what is ordinary.

    Two segments with the same words get more words, as far as there are any.
    """
    measured = [look_of(item.pixels) for item in catalogue if item.pixels is not None]
    looks_IM = np.array(measured) if measured else np.zeros((1, len(LOOKS)))
    found = {name: (_topics(items, catalogue), _looks(items, looks_IM)) for name, items in histories.items()}
    return {
        name: SegmentName(
            topics=topics[: _telling(name, found)],
            looks=looks[: _telling(name, found)],
            icon=_icon(histories[name], (topics or [""])[0]),
        )
        for name, (topics, looks) in found.items()
    }


def _telling(name: str, found: Mapping[str, tuple[list[str], list[str]]]) -> int:
    """How many words of each kind tell this segment from all others; as many as there are where none do."""
    topics, looks = found[name]
    length = _WORDS
    while length < max(len(topics), len(looks)) and any(
        (others[:length], words[:length]) == (topics[:length], looks[:length])
        for other, (others, words) in found.items()
        if other != name
    ):
        length += 1
    return length


def _topics(items: Sequence[Item], catalogue: Sequence[Item]) -> list[str]:
    """Categories that the history holds clearly more of than the catalogue does, then title words that come back in it."""
    whole = Counter(item.category for item in catalogue if item.category)
    mine = Counter(item.category for item in items if item.category)
    total = max(sum(whole.values()), 1)
    lift = {topic: count / max(sum(mine.values()), 1) / max(whole[topic] / total, 1 / total) for topic, count in mine.items()}
    clear = sorted(
        (topic for topic in mine if mine[topic] > 1 and lift[topic] >= _LIFT), key=lambda topic: (-lift[topic], topic)
    )
    words = Counter(word for item in items for word in {found.lower() for found in _WORD.findall(item.title)})
    common = Counter(word for item in catalogue for word in {found.lower() for found in _WORD.findall(item.title)})
    rare = [word for word, count in words.items() if count > 1 and common[word] <= _COMMON_SHARE * len(catalogue)]
    told = sorted(rare, key=lambda word: (-words[word], word))
    return [*clear, *(f"“{word}”" for word in told if word not in clear)]


def _looks(items: Sequence[Item], looks_IM: NDArray[np.float64]) -> list[str]:
    """Words of the measures in which the history lies farthest from the catalogue, in deviations of single covers."""
    mine = [look_of(item.pixels) for item in items if item.pixels is not None]
    if not mine:
        return []
    away_M = (np.mean(mine, axis=0) - looks_IM.mean(axis=0)) / np.maximum(looks_IM.std(axis=0), 1e-6)
    order = sorted(range(len(LOOKS)), key=lambda measure: (-abs(float(away_M[measure])), measure))
    return [LOOKS[measure][0 if away_M[measure] > 0 else 1] for measure in order if abs(away_M[measure]) >= _CLEAR]


def _icon(items: Sequence[Item], topic: str) -> str:
    """A square in the history's commonest colours, with the first letter of its topic; the page makes it round."""
    colours = _colours([item.pixels for item in items if item.pixels is not None]) or ["#888888"]
    bands = "".join(
        f'<rect x="0" y="{32 * number / len(colours):g}" width="32" height="{32 / len(colours):g}" fill="{colour}"/>'
        for number, colour in enumerate(colours)
    )
    letter = escape(topic.strip("“”")[:1].upper())
    return (
        f'<svg viewBox="0 0 32 32" width="32" height="32">{bands}<text x="16" y="22" font-size="17"'
        ' font-family="sans-serif" font-weight="bold" text-anchor="middle" fill="#fff" stroke="#000" stroke-width="0.6">'
        f"{letter}</text></svg>"
    )


def _colours(pictures: Sequence[Pixels]) -> list[str]:
    """The commonest colours, coarse ones first counted, each the mean of its pixels."""
    if not pictures:
        return []
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in pictures]).astype(np.int64)
    code = (pixels * _LEVELS // 256) @ np.array([_LEVELS**2, _LEVELS, 1])
    counts = np.bincount(code, minlength=_LEVELS**3)
    top = sorted(np.flatnonzero(counts).tolist(), key=lambda colour: (-int(counts[colour]), colour))[:_COLOURS]
    means = [np.rint(pixels[code == colour].mean(axis=0)).astype(int).tolist() for colour in top]
    return ["#" + "".join(f"{value:02x}" for value in mean) for mean in means]
