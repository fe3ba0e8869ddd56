"""Line plots as SVG files for RESULTS.md: named curves over one axis. Knows numbers and labels; nothing to run here."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

PLOTS = Path(__file__).with_name("plots")
_COLOURS = ("#1b6ca8", "#c2452d", "#4b8b3b", "#7a4fa3", "#b8860b", "#555555")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 62, 150, 34, 44

Curve = Sequence[tuple[float, float]]


def line_plot(name: str, title: str, across: str, curves: Mapping[str, Curve]) -> str:
    """Write ``plots/NAME.svg`` and return the Markdown that shows it."""
    PLOTS.mkdir(exist_ok=True)
    (PLOTS / f"{name}.svg").write_text(drawn(title, across, curves))
    return f"![{title}](plots/{name}.svg)"


def drawn(title: str, across: str, curves: Mapping[str, Curve]) -> str:
    """The picture; points that are no numbers are left out.

    >>> drawn("t", "x", {"a": [(0, 0), (1, 1)]}).count("<polyline")
    1
    """
    curves = {name: [(x, y) for x, y in curve if math.isfinite(x) and math.isfinite(y)] for name, curve in curves.items()}
    xs = [x for curve in curves.values() for x, _ in curve] or [0.0, 1.0]
    ys = [y for curve in curves.values() for _, y in curve] or [0.0, 1.0]
    low, high = min(ys), max(ys)
    margin = 0.06 * (high - low) or 0.1
    low, high = low - margin, high + margin

    def at(x: float, y: float) -> tuple[float, float]:
        share = (x - min(xs)) / ((max(xs) - min(xs)) or 1.0)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT), _TOP + (high - y) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<text x="{_LEFT}" y="20" font-weight="bold">{escape(title)}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value, spot = low + share * (high - low), min(xs) + share * (max(xs) - min(xs))
        (left, y), (x, bottom) = at(min(xs), value), at(spot, low)
        parts.append(f'<line x1="{left:.1f}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{spot:.3g}</text>')
    parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>')
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in curve))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 10}" y="{_TOP + 16 * (number + 1)}" fill="{colour}">{escape(name)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>{"".join(parts)}</svg>\n'
    )
