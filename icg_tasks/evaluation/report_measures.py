"""The report's section about what covers look like, measured: beside the catalogue's covers, in variety, and in canaries.

Takes the evaluation's rows and returns HTML, or an empty text where there is nothing to show.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.report_words import ARM_WORDS, METRIC_MEANS, METRIC_WORDS, PERCENT, find_row

STRONG: Final = (names.PERSONAL, names.PERSONAL_BEST)
_WHOLE: Final = (names.LOOKS,)
"""Metrics that count something."""

Rows = Sequence[Mapping[str, Any]]


def measures(rows: Rows) -> str:
    """Image metrics by arm, in the blocks of the table, and what each one means."""
    blocks = [(title, metrics) for title, metrics in names.BLOCKS[1:] if any(row["metric"] in metrics for row in rows)]
    if not blocks:
        return ""
    panels = "".join(
        f'<div class="panel scroll"><h3>{escape(title)}</h3>{arm_table(rows, metrics)}</div>' for title, metrics in blocks
    )
    shown = [metric for _, metrics in blocks for metric in metrics if any(row["metric"] == metric for row in rows)]
    meanings = "".join(f"<dt>{METRIC_WORDS[metric]}</dt><dd>{escape(METRIC_MEANS[metric])}</dd>" for metric in shown)
    return (
        '<h2 id="measures">What the covers look like, measured</h2><p class="soft">The same pairs, seen by the net that the '
        f"notes name; 95 % bootstrap intervals over items.{_looks(rows)}</p>{panels}"
        f'<details class="panel"><summary>What each of these means</summary><dl>{meanings}</dl></details>'
    )


def arm_table(rows: Rows, metrics: Sequence[str]) -> str:
    """Arms as lines, those of these metrics that there are as columns."""
    metrics = [metric for metric in metrics if any(row["metric"] == metric for row in rows)]
    head = "".join(f'<th class="n">{METRIC_WORDS[metric]}</th>' for metric in metrics)
    lines = []
    for arm in names.ALL_ARMS:
        if any(row["arm"] == arm and row["metric"] in metrics for row in rows):
            cells = "".join(f'<td class="n">{said(find_row(rows, arm, metric))}</td>' for metric in metrics)
            lines.append(f'<tr class="{"strong" if arm in STRONG else ""}"><td>{ARM_WORDS[arm]}</td>{cells}</tr>')
    return f"<table><thead><tr><th>arm</th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def said(row: Mapping[str, Any] | None) -> str:
    """A cell: the mean, and its interval below."""
    if row is None:
        return "–"
    if row["metric"] in PERCENT:
        return f"{100 * row['mean']:.1f} %<small>{100 * row['low']:.1f} – {100 * row['high']:.1f}</small>"
    digits = 0 if row["metric"] in _WHOLE else 3
    mean, low, high = (f"{row[name] + 0.0:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean}<small>{low} – {high}</small>"


def _looks(rows: Rows) -> str:
    """How many looks the segments get, and how many there are to be had where that is known."""
    made, wanted = (find_row(rows, arm, names.LOOKS) for arm in (names.PERSONAL, names.BEST))
    if made is None:
        return ""
    tastes = f", their best achievable ones show {wanted['mean']:.0f}" if wanted is not None else ""
    return f" The segments’ covers show {made['mean']:.0f} distinct {'look' if made['mean'] == 1 else 'looks'}{tastes}."
