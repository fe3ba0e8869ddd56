"""Small plots as inline SVG: dots with intervals, curves, calibration. They wear the page's colours through CSS classes.

Knows numbers and labels only. Every text is escaped; a plot of nothing is an empty text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One line of an interval plot; ``strong`` marks the arms that the page is about."""

    label: str
    mean: float
    low: float
    high: float
    strong: bool = False


@dataclass(frozen=True, kw_only=True)
class DayDot:
    """One day of a trend with its interval."""

    day: date
    mean: float
    low: float
    high: float


def interval_plot(dots: Sequence[Dot], *, digits: int = 3, title: str, width: int = 1000) -> str:
    """One row per dot: label, interval as a line, mean as a dot with its number."""
    if not dots:
        return ""
    left, right, row, top = round(0.19 * width) + 40, 84, 36, 12
    low, high = min(dot.low for dot in dots), max(dot.high for dot in dots)
    margin = (high - low or abs(high) or 1.0) * 0.06
    low, high = low - margin, high + margin

    def at(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - right)

    def said(value: float) -> str:
        return f"{value + 0.0:.{digits}f}".replace("-", "−")

    ticks = _ticks(low, high)
    tick_digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)) if len(ticks) > 1 else digits
    parts, height = [], top + row * len(dots) + 30
    for tick in ticks:
        x = at(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - 28}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{height - 10}" text-anchor="middle">{_short(tick, tick_digits)}</text>'
        )
    for number, dot in enumerate(dots):
        y, kind = top + row * (number + 0.5), "strong" if dot.strong else "plain"
        parts.append(
            f'<text class="label {kind}" x="{left - 14}" y="{y + 4.5:.1f}" text-anchor="end">{escape(dot.label)}</text>'
        )
        parts.append(f'<line class="whisker {kind}" x1="{at(dot.low):.1f}" x2="{at(dot.high):.1f}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot {kind}" cx="{at(dot.mean):.1f}" cy="{y}" r="6.5"/>')
        parts.append(f'<text class="value {kind}" x="{width - right + 14}" y="{y + 4.5:.1f}">{said(dot.mean)}</text>')
    return _svg(width, height, parts, title)


def curve_plot(points: Sequence[tuple[float, float]], *, title: str) -> str:
    """One curve with its first and last value told."""
    points = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(points) < 2:
        return ""
    width, height, left, right, top, bottom = 300, 150, 14, 56, 34, 22
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(ys), max(ys)
    spread = (high - low) or abs(high) or 1.0
    first_x, wide = min(xs), (max(xs) - min(xs)) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (x - first_x) / wide * (width - left - right)
        return across, top + (high + 0.05 * spread - y) / (1.1 * spread) * (height - top - bottom)

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
    end_x, end_y = at(*points[-1])
    parts = [
        f'<text class="label strong" x="{left}" y="18">{escape(title)}</text>',
        f'<line class="grid" x1="{left}" x2="{width - right}" y1="{height - bottom}" y2="{height - bottom}"/>',
        f'<polyline class="curve" points="{line}"/>',
        f'<circle class="dot strong" cx="{end_x:.1f}" cy="{end_y:.1f}" r="4"/>',
        f'<text class="value" x="{end_x + 9:.1f}" y="{end_y + 4:.1f}">{ys[-1]:.3g}</text>',
        f'<text class="tick" x="{left}" y="{height - 6}">step {xs[0]:g}: {ys[0] + 0.0:.3g}</text>',
        f'<text class="tick" x="{width - right}" y="{height - 6}" text-anchor="end">step {xs[-1]:g}</text>',
    ]
    return _svg(width, height, parts, title)


def trend_plot(dots: Sequence[DayDot], *, title: str, width: int = 1000) -> str:
    """Days from left to right, spaced by date: a mean with its interval each, joined by a line; zero is always in sight."""
    if not dots:
        return ""
    left, right, top, bottom, height = 58, 74, 16, 40, 260
    low, high = min(0.0, *(dot.low for dot in dots)), max(0.0, *(dot.high for dot in dots))
    margin = (high - low or 1.0) * 0.08
    first, days = dots[0].day, (dots[-1].day - dots[0].day).days or 1

    def at(day: date, value: float) -> tuple[float, float]:
        across = left + 12 + (day - first).days / days * (width - left - right - 24)
        return across, top + (high + margin - value) / (high - low + 2 * margin) * (height - top - bottom)

    parts = []
    for tick in _ticks(low - margin, high + margin):
        y, kind = at(first, tick)[1], "diagonal" if abs(tick) < 1e-9 else "grid"
        parts.append(f'<line class="{kind}" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(dot.day, dot.mean) for dot in dots))
    parts.append(f'<polyline class="curve" points="{line}"/>')
    every = math.ceil(len(dots) / 10)
    for number, dot in enumerate(dots):
        (x, y), (_, y_low), (_, y_high) = at(dot.day, dot.mean), at(dot.day, dot.low), at(dot.day, dot.high)
        parts.append(f'<line class="whisker strong" x1="{x:.1f}" x2="{x:.1f}" y1="{y_low:.1f}" y2="{y_high:.1f}"/>')
        parts.append(f'<circle class="dot strong" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        if (len(dots) - 1 - number) % every == 0:
            words = f"{dot.day.day} {dot.day:%b}"
            parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 12}" text-anchor="middle">{words}</text>')
    x, y = at(dots[-1].day, dots[-1].mean)
    parts.append(f'<text class="value strong" x="{x + 12:.1f}" y="{y + 4.5:.1f}">{dots[-1].mean:+.2f}</text>')
    return _svg(width, height, parts, title)


def calibration_plot(bins: Sequence[tuple[float, float]], *, title: str) -> str:
    """Observed against predicted click rate of equal-mass bins; on the diagonal the model's word is good."""
    if not bins:
        return ""
    side, edge = 300, 62
    most = max(max(predicted, seen) for predicted, seen in bins) * 1.08 or 1.0

    def at(predicted: float, seen: float) -> tuple[float, float]:
        return edge + predicted / most * (side - edge - 10), side - edge - seen / most * (side - edge - 10)

    (x0, y0), (x1, y1) = at(0.0, 0.0), at(most, most)
    parts = [f'<line class="diagonal" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>']
    for tick in _ticks(0.0, most):
        x, y = at(tick, tick)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{side - edge + 18}" text-anchor="middle">{100 * tick:.0f} %</text>')
        parts.append(f'<text class="tick" x="{edge - 8}" y="{y + 4:.1f}" text-anchor="end">{100 * tick:.0f} %</text>')
    parts += [f'<circle class="dot strong" cx="{at(*pair)[0]:.1f}" cy="{at(*pair)[1]:.1f}" r="4.5"/>' for pair in bins]
    parts.append(f'<text class="tick" x="{(side + edge) / 2}" y="{side - 6}" text-anchor="middle">predicted click rate</text>')
    parts.append(
        f'<text class="tick" transform="translate(10 {(side - edge) / 2}) rotate(-90)" text-anchor="middle">seen</text>'
    )
    return _svg(side, side, parts, title)


def bar(share: float) -> str:
    """A thin bar, ``share`` of it filled (0 to 1)."""
    filled = min(1.0, max(0.0, share))
    return f'<span class="bar" role="presentation"><span style="width:{100 * filled:.1f}%"></span></span>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers inside a range, four to eight of them."""
    rough = (high - low) / 5 or 1.0
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in (1, 2, 5, 10) if scale * factor >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _short(value: float, digits: int | None = None) -> str:
    """A tick's number with a minus sign as wide as a digit; as many digits as it needs where none are given."""
    text = f"{value + 0.0:.4g}" if digits is None else f"{value + 0.0:.{digits}f}"
    return text.replace("-", "−")


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
