"""The page tells what validation found: figures against the past weeks, remarks, and the way to the data docs."""

from dataclasses import fields

from icg_tasks.evaluation.report_data import DayView
from icg_tasks.evaluation.report_day import quality


def page(checks: dict) -> str:
    entry = {"clean": 90, "quarantined": {"too_late": 10}, "metadata": {}, "checks": checks}
    docs = ["../data_docs/ds=2026-03-10/impressions/index.html"]
    nothing = {field.name: None for field in fields(DayView)}  # what the section does not look at
    return quality(DayView(**nothing | {"quality": {"impressions": entry}, "docs": docs}))


def test_anomalies_and_remarks_are_on_the_page():
    finding = {"name": "click_rate", "value": 0.31, "usual": 0.14, "z": 21.5, "days": 9, "verdict": "warning"}
    text = page(
        {"findings": [finding, finding | {"usual": None, "z": None, "verdict": "no past yet"}], "remarks": ["a <new> column"]}
    )
    for part in ("click rate", "0.31", "0.14", "21.5", "warning", "no past yet", "–", "a &lt;new&gt; column"):
        assert part in text
    assert 'href="../data_docs/ds=2026-03-10/impressions/index.html"' in text


def test_days_of_former_times_without_checks_are_shown_as_before():
    assert "robust z" not in page({})
    assert "90 clean rows" in page({})
