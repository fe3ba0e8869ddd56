"""Training curves of a model's card as plots, whatever shape the card keeps them in. Knows cards and plots; no model."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from icg_tasks.evaluation.report_plots import curve_plot

Points = list[tuple[float, float]]
_STEP = "step"


def series(table: Any) -> dict[str, Points]:
    """Curves by name: from rows ``[{"step": 1, "loss": 2.0}, …]`` or columns ``{"step": […], "loss": […]}``.

    >>> series([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}])
    {'loss': [(1.0, 2.0), (2.0, 1.5)]}
    >>> series({"loss": [2.0, 1.5]})
    {'loss': [(0.0, 2.0), (1.0, 1.5)]}
    """
    rows = _rows(table)
    names = dict.fromkeys(name for row in rows for name in row if name != _STEP)
    found: dict[str, Points] = {}
    for name in names:
        points = [
            (float(row.get(_STEP, number)), float(row[name])) for number, row in enumerate(rows) if _is_number(row.get(name))
        ]
        if points:
            found[name] = points
    return found


def training_panels(card: Mapping[str, Any], title: str) -> str:
    """What was measured at every step, and the checks between; an empty text where the card keeps neither."""
    parts = []
    for key, words in (
        ("checks", "Checks on items set aside, with the averaged weights that would serve."),
        ("curves", "Every training step; nothing is smoothed."),
    ):
        plots = "".join(curve_plot(points, title=name.replace("_", " ")) for name, points in series(card.get(key)).items())
        if plots:
            parts.append(f'<p class="soft">{words}</p><div class="curves">{plots}</div>')
    if not parts:
        return ""
    reason = card.get("reason")
    told = f"<p>{escape(str(reason).capitalize())}.</p>" if isinstance(reason, str) else ""
    return f'<div class="panel"><h3>{escape(title)}</h3>{told}{"".join(parts)}</div>'


def _rows(table: Any) -> list[Mapping[str, Any]]:
    if isinstance(table, Mapping):
        columns = {
            name: values for name, values in table.items() if isinstance(values, Sequence) and not isinstance(values, str)
        }
        length = max((len(values) for values in columns.values()), default=0)
        return [{name: values[n] for name, values in columns.items() if n < len(values)} for n in range(length)]
    if isinstance(table, Sequence) and not isinstance(table, str):
        return [row for row in table if isinstance(row, Mapping)]
    return []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
