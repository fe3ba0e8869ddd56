"""One suite, two engines, the same findings; and pages that load nothing from elsewhere."""

import re
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.config.settings import SparkSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.schemas import ITEMS
from icg_tasks.intake.great import _arrow_strings, _pandas_frame, on_spark, run_suite
from icg_tasks.intake.great_pages import standing_alone
from icg_tasks.intake.suites import impression_suite, item_suite

DAY = date(2026, 3, 10)
SETTINGS = IntakeSettings()


def catalogue(rows: int = 40) -> pa.Table:
    return pa.table(
        {
            "item_id": [f"item-{number}" for number in range(rows)],
            "title": ["A title"] * (rows - 1) + [""],
            "reference_image": ["raw/images/a.png"] * rows,
            "category": ["rocket"] * rows,
            "language": ["en"] * (rows - 2) + ["Klingon!", None],
            "updated_at": pa.array([0] * rows, pa.timestamp("ms", tz="UTC")),
            "image_sha256": ["0" * 64] * rows,
            "content_hash": ["f" * 64] * (rows - 1) + ["F"],
        }
    ).cast(ITEMS)


def impressions(rows: int = 300) -> pa.Table:
    rng = np.random.default_rng(5)
    clicked = (rng.random(rows) < 0.2).astype(np.int32)  # as the frame has it: the mean of bytes is unknown to Spark
    return pa.table(
        {
            "impression_id": [f"i-{number % (rows - 3)}" for number in range(rows)],
            "user_id": ["0" * 32] * (rows - 1) + ["reader-1"],
            "item_id": ["item-1"] * rows,
            "shown_at": pa.array(range(rows), pa.timestamp("ms", tz="UTC")),
            "surface": ["home"] * (rows - 5) + ["billboard"] * 5,
            "position": pa.array(rng.integers(0, 70, rows), pa.int32()),
            "cover_id": pa.nulls(rows, pa.string()),
            "propensity": [0.0] + [0.5] * (rows - 1),
            "clicked": clicked,
            "dwell_seconds": pa.array([None if not one else 3.0 for one in clicked], pa.float64()),
            "item_known": pa.array([1] * (rows - 1) + [0], pa.int8()),
            "days_late": pa.array([0] * rows, pa.int64()),
        }
    )


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", ["impressions", "items"])
def test_both_engines_find_the_same(store, name):
    spark = SparkSettings(master="local[1]", shuffle_partitions=1, driver_memory="1g")
    table = catalogue() if name == "items" else impressions()

    def suite():
        return item_suite(SETTINGS, []) if name == "items" else impression_suite(SETTINGS, [], 300)

    small, _ = run_suite(store, name, DAY, table, suite(), version=1)
    large, _ = run_suite(store, name, DAY, table, suite(), version=1, spark=spark)
    assert [(one.label, one.column, one.success) for one in large] == [(one.label, one.column, one.success) for one in small]
    assert 2 < sum(not one.success for one in small) < len(small)
    counts = [[re.match(r"\d+", one.observed) for one in found if not one.success] for found in (small, large)]
    assert [match and match[0] for match in counts[0]] == [match and match[0] for match in counts[1]]


def test_the_frame_for_pandas_has_no_python_object_per_value():
    """What halves the processor time of a suite of a million rows."""
    with _arrow_strings():
        frame = _pandas_frame(impressions(), impression_suite(SETTINGS, [], 300))
        assert frame["impression_id"].dtype == "str"  # to be unique
        assert {frame[name].dtype.name for name in ("user_id", "item_id")} == {"str"}
        assert frame["surface"].dtype.name == "category"  # one of a set
        assert {frame[name].dtype.name for name in ("position", "clicked", "item_known", "days_late")} == {"int64"}
        assert not any(kind.name == "object" for kind in frame.dtypes)
        assert frame["user_id"].astype(str).dtype == "str"  # as the matching of patterns asks for it
    assert frame.columns.tolist() == impressions().schema.names


def test_great_expectations_hashes_no_frame(store, monkeypatch):
    """Its fingerprint of all values is read by nobody."""
    from great_expectations.execution_engine import pandas_execution_engine as engine

    def refuse(_frame):
        raise AssertionError("hashed")

    monkeypatch.setattr(engine, "hash_pandas_dataframe", refuse)
    findings, _ = run_suite(store, "items", DAY, catalogue(), item_suite(SETTINGS, []), version=1)
    assert findings


def test_pages_load_nothing_from_elsewhere(store):
    _, index = run_suite(store, "items", DAY, catalogue(), item_suite(SETTINGS, []), version=7)
    pages = sorted(Path(store.address(index)).parent.rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        text = page.read_text()
        assert re.findall(r"<(?:link|script|img|iframe)\b[^>]*(?:https?:)?//[^>]*>", text) == []
        assert re.findall(r"url\(['\"]?(?:https?:)?//", text) == []
        assert "@import" not in text
        assert text.count("<style>") >= 1
        assert "hideSucceededValidations" in text


def test_the_engine_is_chosen_by_setting_or_size():
    with pytest.raises(SettingsError, match=r"intake\.engine='duckdb'"):
        on_spark(IntakeSettings(engine="duckdb"), 1)
    assert not on_spark(IntakeSettings(engine="pandas"), 10**9)


def test_a_page_keeps_what_is_its_own():
    head = '<link rel="stylesheet" href="https://x/y.css"><style>a{b:c}</style>'
    page = f'<html><head>{head}</head><body><img src="a.png"></body></html>'
    text = standing_alone("validations/x/page.html", page, [])
    assert "https://" not in text
    assert "a{b:c}" in text
    assert '<img src="a.png">' in text
