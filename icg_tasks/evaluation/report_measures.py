"""The report's section about what covers look like, measured: beside the catalogue's covers, in variety, and in canaries.

Takes the evaluation's rows and returns HTML, or an empty text where there is nothing to show.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.report_frame import scrolled, section
from icg_tasks.evaluation.report_words import ARM_WORDS, METRIC_MEANS, METRIC_WORDS, PERCENT, find_row, signed

STRONG: Final = (names.PERSONAL, names.PERSONAL_BEST)
_WHOLE: Final = (names.LOOKS,)
"""Metrics that count something."""

Rows = Sequence[Mapping[str, Any]]


def measures(rows: Rows, linked: frozenset[str] = frozenset()) -> str:
    """Image metrics by arm, in the blocks of the table, and what each one means; ``linked`` as in ``arm_table``."""
    blocks = [(title, metrics) for title, metrics in names.BLOCKS[1:] if any(row["metric"] in metrics for row in rows)]
    if not blocks:
        return ""
    panels = "".join(
        scrolled(title, f"<h3>{escape(title)}</h3>{arm_table(rows, metrics, title, linked)}") for title, metrics in blocks
    )
    shown = [metric for _, metrics in blocks for metric in metrics if any(row["metric"] == metric for row in rows)]
    meanings = "".join(f"<dt>{METRIC_WORDS[metric]}</dt><dd>{escape(METRIC_MEANS[metric])}</dd>" for metric in shown)
    words = f"The same pairs, seen by the net that the notes name; 95 % bootstrap intervals over items.{_looks(rows)}"
    meaning = f'<details class="panel"><summary>What each of these means</summary><dl>{meanings}</dl></details>'
    return section("measures", "What the covers look like, measured", f'<p class="soft">{words}</p>{panels}{meaning}')


def arm_table(rows: Rows, metrics: Sequence[str], caption: str, linked: frozenset[str] = frozenset()) -> str:
    """Arms as lines, those of these metrics that there are as columns.

    Where an arm's judged covers are kept (``linked``), a figure that each cover has leads to them, best first.
    """
    metrics = [metric for metric in metrics if any(row["metric"] == metric for row in rows)]
    head = "".join(f'<th scope="col" class="n">{METRIC_WORDS[metric]}</th>' for metric in metrics)
    lines = []
    for arm in names.ALL_ARMS:
        if any(row["arm"] == arm and row["metric"] in metrics for row in rows):
            cells = "".join(f'<td class="n">{_cell(rows, arm, metric, linked)}</td>' for metric in metrics)
            strong = ' class="strong"' if arm in STRONG else ""
            lines.append(f'<tr{strong}><th scope="row">{ARM_WORDS[arm]}</th>{cells}</tr>')
    return (
        f'<table><caption class="hidden">{escape(caption)}</caption><thead><tr><th scope="col">arm</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _cell(rows: Rows, arm: str, metric: str, linked: frozenset[str]) -> str:
    row = find_row(rows, arm, metric)
    if row is None or arm not in linked or metric not in names.PAIR_METRICS:
        return said(row)
    return said(row, f"covers.html#view=judged&amp;arm={arm}&amp;sort={metric}")


def said(row: Mapping[str, Any] | None, to: str = "") -> str:
    """A cell: the mean (``to``: an address it leads to, escaped), and its interval below."""
    if row is None:
        return "–"
    scale, unit = (100, " %") if row["metric"] in PERCENT else (1, "")
    digits = 1 if unit else 0 if row["metric"] in _WHOLE else 3
    mean, low, high = (signed(scale * row[name], digits) for name in ("mean", "low", "high"))
    told = f'<a href="{to}">{mean}{unit}</a>' if to else f"{mean}{unit}"
    return f"{told}<small>{low} – {high}</small>"


def _looks(rows: Rows) -> str:
    """How many looks the segments get, and how many there are to be had where that is known."""
    made, wanted = (find_row(rows, arm, names.LOOKS) for arm in (names.PERSONAL, names.BEST))
    if made is None:
        return ""
    tastes = f", their best achievable ones show {wanted['mean']:.0f}" if wanted is not None else ""
    return f" The segments’ covers show {made['mean']:.0f} distinct {'look' if made['mean'] == 1 else 'looks'}{tastes}."
