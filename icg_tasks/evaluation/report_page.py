"""The report page as one HTML text: style, navigation, sections in order. Links are relative, nothing comes from elsewhere."""

from collections.abc import Mapping
from datetime import date
from html import escape

from icg_tasks.evaluation import report_day, report_measures, report_pigeon, report_sections
from icg_tasks.evaluation.report_data import DayView, Evaluation
from icg_tasks.evaluation.report_style import STYLE
from icg_tasks.evaluation.report_words import headline, source_words

_SECTIONS = {
    "uplift": "Is it worth it?",
    "looks": "One item, many looks",
    "measures": "Measured",
    "gallery": "Segments",
    "learning": "Models",
    "masks": "Masks",
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
            report_measures.measures(view.evaluation.rows if view.evaluation else []),
            report_sections.gallery(view.segments),
            report_day.learning(view),
            report_pigeon.pigeon(view),
            report_day.stages(view.stages),
            report_day.quality(view),
            report_day.missing(view.missing),
        )
    )
    links = "".join(f'<a href="#{name}">{escape(words)}</a>' for name, words in _SECTIONS.items() if f'id="{name}"' in body)
    day = f"{run_date.day} {run_date:%B %Y}"
    rows = view.evaluation.rows if view.evaluation else []
    lead = f'<p class="lead">{escape(headline(rows))}</p><nav>{links}</nav>'
    return _whole(f"Covers of {day}", "the day’s report", f"{lead}{body}<footer>{_versions(view)}</footer>")


def evaluation_page(evaluation: Evaluation, run_date: date, source: str) -> str:
    """The evaluation alone, as a page without pictures: the whole table, gains, shares and notes."""
    lead = f'<p class="lead">{escape(headline(evaluation.rows))}</p>'
    note = f'<div class="note{" good" if source == "world" else ""}"><p>{escape(source_words(source))}</p></div>'
    tables = report_sections.uplift(evaluation) + report_measures.measures(evaluation.rows)
    title = f"Evaluation of {run_date.day} {run_date:%B %Y}"
    return _whole(title, "evaluation", f"{lead}{note}{tables}<footer>The same for machines: evaluation.json.</footer>")


def _whole(title: str, kind: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,"><style>{STYLE}</style></head><body><main>'
        f'<div class="kicker">ICG Covers · {kind}</div><h1>{title}</h1>{body}</main></body></html>\n'
    )


def _versions(view: DayView) -> str:
    cards = (("adapter", view.adapter), ("Pigeon", view.pigeon), ("preference model", view.preference))
    used = [f"{name} {card['version']}" for name, card in cards if card]
    return escape(f"Models in use: {', '.join(used)}." if used else "No model in use yet.")
