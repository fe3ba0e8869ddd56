"""The report page as one HTML text: navigation, sections in order. Links are relative, nothing comes from elsewhere."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape

from icg_tasks.evaluation import report_day, report_gallery, report_measures, report_pigeon, report_sections, report_trend
from icg_tasks.evaluation.report_data import DayView, Evaluation
from icg_tasks.evaluation.report_frame import document, source_note
from icg_tasks.evaluation.report_trend import DayFigures
from icg_tasks.evaluation.report_words import headline, said_date, source_words

_SECTIONS = {
    "uplift": "Is it worth it?",
    "trend": "Day by day",
    "looks": "One item, many looks",
    "measures": "Measured",
    "gallery": "Segments",
    "learning": "Models",
    "masks": "Masks",
    "stages": "Stages",
    "quality": "Data quality",
    "missing": "Not here",
}


def page(
    view: DayView,
    run_date: date,
    source: str,
    addresses: Mapping[str, str],
    days: Sequence[DayFigures] = (),
    linked: bool = False,
) -> str:
    """The whole page; ``addresses`` maps store keys of judged covers to pictures beside the page.

    ``days`` are figures of this day and earlier ones; ``linked``: there is a covers.html.
    """
    arms = report_sections.judged_arms(view.evaluation) if linked else frozenset()
    rows = view.evaluation.rows if view.evaluation else []
    body = "".join(
        (
            report_sections.tiles(view, linked),
            source_note(source_words(source), known_truth=source == "world"),
            report_sections.uplift(view.evaluation, arms),
            report_trend.trend(days, run_date),
            report_gallery.six_by_eight(view.evaluation, addresses, view.segments),
            report_measures.measures(rows, arms),
            report_gallery.gallery(view.segments, linked),
            report_day.learning(view),
            report_pigeon.pigeon(view),
            report_day.stages(view.stages),
            report_day.quality(view),
            report_day.missing(view.missing),
        )
    )
    links = {f"#{name}": words for name, words in _SECTIONS.items() if f'id="{name}"' in body}
    if linked:
        links["covers.html"] = "All covers"
    lead = f'<p class="lead">{escape(headline(rows))}</p>'
    title = f"Covers of {said_date(run_date)}"
    return document(title=title, kind="the day’s report", lead=lead, body=body, footer=_versions(view), links=links)


def evaluation_page(evaluation: Evaluation, run_date: date, source: str) -> str:
    """The evaluation alone, as a page without pictures: the whole table, gains, shares and notes."""
    lead = f'<p class="lead">{escape(headline(evaluation.rows))}</p>'
    note = source_note(source_words(source), known_truth=source == "world")
    tables = report_sections.uplift(evaluation) + report_measures.measures(evaluation.rows)
    title = f"Evaluation of {said_date(run_date)}"
    footer = "<p>The same for machines: evaluation.json.</p>"
    return document(title=title, kind="evaluation", lead=lead, body=note + tables, footer=footer)


def _versions(view: DayView) -> str:
    cards = (("adapter", view.adapter), ("Pigeon", view.pigeon), ("preference model", view.preference))
    used = [f"{name} {card['version']}" for name, card in cards if card]
    words = ", ".join(used)
    return f"<p>{escape(f'Models in use: {words}.' if used else 'No model in use yet.')}</p>"
