"""The report's section about days: how much better personalised covers were than items' own, day by day.

Each report leaves ``reports/ds=…/figures.json`` behind, which reports of later dates read: a day sees earlier days only, so a
back-filled page is what that day's page would have been. Days without a report are left out, and a day alone has no trend.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from html import escape
from typing import Any, Final

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import REPORTS, partition_prefix
from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.report_data import Evaluation
from icg_tasks.evaluation.report_frame import scrolled, section
from icg_tasks.evaluation.report_measures import said
from icg_tasks.evaluation.report_plots import DayDot, trend_plot
from icg_tasks.evaluation.report_words import METRIC_WORDS, find_row, said_date
from icg_tasks.lake.store import ObjectStore

MAX_DAYS: Final = 60
"""How far back a page looks."""
_UPLIFTS: Final = (names.LOGIT, names.PREFERENCE)


@dataclass(frozen=True, kw_only=True)
class DayFigures:
    """What later pages tell of a day. ``uplift`` is the paired gain of personalised over own covers, a row of the table."""

    day: str
    generator: str
    covers: int  # that covers.html shows
    uplift: Mapping[str, Any] | None
    rate: Mapping[str, Any] | None  # true click probability of personalised covers, where it is known


def figures_of(day: date, generator: str, covers: int, evaluation: Evaluation | None) -> DayFigures:
    """The figures of the run date itself."""
    gains = evaluation.detail.get("gains", []) if evaluation else []
    rows = evaluation.rows if evaluation else []
    found = (find_row(gains, names.PERSONAL, metric, names.OWN) for metric in _UPLIFTS)
    return DayFigures(
        day=day.isoformat(),
        generator=generator,
        covers=covers,
        uplift=next((row for row in found if row is not None), None),
        rate=find_row(rows, names.PERSONAL, names.PROBABILITY),
    )


def keep_figures(store: ObjectStore, figures: DayFigures) -> str:
    """Write the day's ``figures.json`` for later pages; returns its key."""
    key = _key(date.fromisoformat(figures.day))
    store.put(key, json.dumps(asdict(figures), sort_keys=True).encode())
    return key


def earlier_figures(store: ObjectStore, day: date) -> list[DayFigures]:
    """Figures of the ``MAX_DAYS`` days before a date, oldest first. Raises DataCorrupt on a damaged file."""
    days = []
    for back in range(MAX_DAYS, 0, -1):
        key = _key(day - timedelta(days=back))
        found = store.get_with_etag(key)
        if found is None:
            continue
        try:
            days.append(DayFigures(**json.loads(found[0])))
        except (ValueError, TypeError) as error:
            raise DataCorrupt(
                f"{key} is unreadable ({error}); run the report of that date again, or remove the file"
            ) from error
    return days


def trend(days: Sequence[DayFigures], today: date) -> str:
    """The plot and its table; every earlier day leads to its own page."""
    known = [figures for figures in days if figures.uplift is not None]
    if not known or (metric := str((known[-1].uplift or {})["metric"])) not in METRIC_WORDS:
        return ""
    known = [figures for figures in known if (figures.uplift or {})["metric"] == metric]
    if len(known) < 2:
        return ""
    dots = [
        DayDot(day=date.fromisoformat(figures.day), mean=row["mean"], low=row["low"], high=row["high"])
        for figures in known
        if (row := figures.uplift) is not None
    ]
    words = (
        f"Paired gain in {METRIC_WORDS[metric]} of personalised covers over items’ own, one image each, with 95 % intervals. "
        "Each day is judged on its own held-out items; zero would mean no gain."
    )
    plot = trend_plot(dots, title=f"Gain in {METRIC_WORDS[metric]} by day")
    table = _table(known, METRIC_WORDS[metric], today)
    body = (
        f'<p class="soft">{words}</p><div class="panel plot" role="region" tabindex="0" aria-label="Plot of days">{plot}</div>'
        f'<details class="panel"><summary>The same as a table, with links to the days</summary>{table}</details>'
    )
    return section("trend", "Day by day", body)


def _table(days: Sequence[DayFigures], metric: str, today: date) -> str:
    rows = []
    for figures in reversed(days):
        day = date.fromisoformat(figures.day)
        words = escape(said_date(day))
        address = f"../ds={day.isoformat()}/index.html"
        head = f"{words} (this page)" if day == today else f'<a href="{address}">{words}</a>'
        rows.append(
            f'<tr><th scope="row">{head}</th><td>{escape(figures.generator)}</td><td class="n">{figures.covers:,}</td>'
            f'<td class="n">{said(figures.rate)}</td><td class="n">{said(figures.uplift)}</td></tr>'
        )
    columns = ("covers shown", "clicked, personalised", f"gain in {metric}")
    head = '<th scope="col">day</th><th scope="col">generator</th>'
    head += "".join(f'<th scope="col" class="n">{escape(words)}</th>' for words in columns)
    top = f'<caption class="hidden">Gain by day</caption><thead><tr>{head}</tr></thead>'
    table = f"<table>{top}<tbody>{''.join(rows)}</tbody></table>"
    return scrolled("Gain by day", table, panel=False)


def _key(day: date) -> str:
    return f"{partition_prefix(REPORTS, day)}/figures.json"
