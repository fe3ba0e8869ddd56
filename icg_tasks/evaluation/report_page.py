"""The report page as one HTML text: style, navigation, sections in order. Links are relative, nothing comes from elsewhere."""

from collections.abc import Mapping
from datetime import date
from html import escape

from icg_tasks.evaluation import report_day, report_sections
from icg_tasks.evaluation.report_data import DayView
from icg_tasks.evaluation.report_style import STYLE
from icg_tasks.evaluation.report_words import headline, source_words

_SECTIONS = {
    "uplift": "Is it worth it?",
    "looks": "One item, many looks",
    "gallery": "Segments",
    "learning": "Models",
    "stages": "Stages",
    "quality": "Data quality",
    "missing": "Not here",
}


def page(view: DayView, run_date: date, source: str, addresses: Mapping[str, str]) -> str:
    """The whole page; ``addresses`` maps store keys of judged covers to pictures beside the page."""
    body = "".join(
        (
            report_sections.tiles(view),
            f'<div class="note{" good" if source == "world" else ""}"><p>{escape(source_words(source))}</p></div>',
            report_sections.uplift(view.evaluation),
            report_sections.six_by_eight(view.evaluation, addresses),
            report_sections.gallery(view.segments),
            report_day.learning(view),
            report_day.stages(view.stages),
            report_day.quality(view),
            report_day.missing(view.missing),
        )
    )
    links = "".join(f'<a href="#{name}">{escape(words)}</a>' for name, words in _SECTIONS.items() if f'id="{name}"' in body)
    day = f"{run_date.day} {run_date:%B %Y}"
    rows = view.evaluation.rows if view.evaluation else []
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Covers of {day}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,"><style>{STYLE}</style></head><body><main>'
        '<div class="kicker">ICG Covers · the day’s report</div>'
        f'<h1>Covers of {day}</h1><p class="lead">{escape(headline(rows))}</p><nav>{links}</nav>{body}'
        f"<footer>{_versions(view)}</footer></main></body></html>\n"
    )


def _versions(view: DayView) -> str:
    used = [
        f"{name} {card['version']}" for name, card in (("adapter", view.adapter), ("preference model", view.preference)) if card
    ]
    return escape(f"Models in use: {', '.join(used)}." if used else "No model in use yet.")
