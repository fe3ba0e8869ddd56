import numpy as np
import pytest

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.evaluation.arms import (
    ALL_METRICS,
    ARMS,
    BEST,
    HELD_OUT_LOGIT,
    LOGIT,
    METRICS,
    OWN,
    PAIR_METRICS,
    PERSONAL,
    PLAIN,
)
from icg_tasks.evaluation.table import Resampling, gain_rows, in_order, markdown, share_rows, table_rows


def test_bootstrap_interval_of_known_data_is_the_textbook_one() -> None:
    value = np.random.default_rng(1).normal(loc=2.0, scale=3.0, size=900)
    row = table_rows({(OWN, LOGIT): value}, Resampling.over(900, 4000, seed=2))[0]
    error = value.std() / 30.0
    assert row["mean"] == pytest.approx(value.mean(), abs=1e-6)
    assert row["low"] == pytest.approx(value.mean() - 1.96 * error, abs=0.02)
    assert row["high"] == pytest.approx(value.mean() + 1.96 * error, abs=0.02)
    assert row["n"] == 900


def test_rows_have_exactly_the_promised_fields_in_a_fixed_order() -> None:
    values = {(arm, metric): np.arange(4.0) for metric in reversed(METRICS) for arm in reversed(ARMS)}
    rows = table_rows(values, Resampling.over(4, 50, seed=1))
    assert [(row["arm"], row["metric"]) for row in rows] == [(arm, metric) for arm in ARMS for metric in METRICS]
    assert {tuple(row) for row in rows} == {("arm", "metric", "mean", "low", "high", "n")}


def test_paired_gain_is_tighter_than_the_arms_apart() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(size=300)
    values = {(PLAIN, LOGIT): base, (PERSONAL, LOGIT): base + 0.3 + rng.normal(scale=0.05, size=300)}
    resampling = Resampling.over(300, 500, seed=4)
    gain = next(row for row in gain_rows(values, resampling) if row["arm"] == PERSONAL)
    arm = table_rows(values, resampling)[0]
    assert gain["against"] == PLAIN
    assert 0.28 < gain["low"] < gain["mean"] < gain["high"] < 0.32
    assert gain["high"] - gain["low"] < 0.2 * (arm["high"] - arm["low"])


def test_share_of_the_achievable_gain() -> None:
    base = np.random.default_rng(5).normal(size=200)
    values = {(PLAIN, LOGIT): base, (PERSONAL, LOGIT): base + 1.5, (BEST, LOGIT): base + 2.0}
    row = share_rows(values, Resampling.over(200, 100, seed=1), [LOGIT])[0]
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((0.75, 0.75, 0.75))
    nothing_to_gain = {**values, (BEST, LOGIT): base}
    assert share_rows(nothing_to_gain, Resampling.over(200, 100, seed=1), [LOGIT]) == []


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataCorrupt, match="not finite on 1 of 3"):
        table_rows({(OWN, LOGIT): np.array([1.0, np.nan, 2.0])}, Resampling.over(3, 10, seed=1))


def test_markdown_names_what_is_missing_by_a_dash_and_keeps_the_notes() -> None:
    values = {(OWN, LOGIT): np.ones(3), (PLAIN, "relevance"): np.zeros(3)}
    text = markdown(table_rows(values, Resampling.over(3, 10, seed=1)), [], [], ["no truth here"])
    assert "| own_cover | 1.000 [1.000, 1.000] | – |" in text
    assert "- no truth here" in text


def test_segments_without_held_out_users_are_left_out_of_their_rows_alone() -> None:
    held_out = np.array([1.0, np.nan, 3.0, np.nan])
    values = {(OWN, LOGIT): np.arange(4.0), (OWN, HELD_OUT_LOGIT): held_out, (PERSONAL, HELD_OUT_LOGIT): held_out + 1.0}
    values[PERSONAL, LOGIT] = np.arange(4.0)
    resampling = Resampling.over(4, 50, seed=1)
    rows = {(row["arm"], row["metric"]): row for row in table_rows(values, resampling)}
    assert (rows[OWN, HELD_OUT_LOGIT]["mean"], rows[OWN, HELD_OUT_LOGIT]["n"]) == (2.0, 2)
    assert 1.0 <= rows[OWN, HELD_OUT_LOGIT]["low"] < rows[OWN, HELD_OUT_LOGIT]["high"] <= 3.0
    assert rows[OWN, LOGIT]["n"] == 4
    gain = next(row for row in gain_rows(values, resampling) if row["metric"] == HELD_OUT_LOGIT)
    assert (gain["mean"], gain["low"], gain["high"], gain["n"]) == (1.0, 1.0, 1.0, 2)
    with pytest.raises(DataCorrupt, match="not finite on 1 of 2"):
        table_rows({(OWN, HELD_OUT_LOGIT): np.array([1.0, np.inf])}, Resampling.over(2, 10, seed=1))


def test_every_metric_has_its_place_and_rows_of_whole_arms_are_put_among_those_of_pairs() -> None:
    assert set(PAIR_METRICS) < set(ALL_METRICS)
    assert len(set(ALL_METRICS)) == len(ALL_METRICS)
    row = {"mean": 0.0, "low": 0.0, "high": 0.0, "n": 3}
    mixed = [{"arm": arm, "metric": metric, **row} for metric in reversed(ALL_METRICS) for arm in reversed(ARMS)]
    assert [(one["arm"], one["metric"]) for one in in_order(mixed)] == [(arm, metric) for arm in ARMS for metric in ALL_METRICS]
    text = markdown(in_order(mixed), [], [], [])
    assert all(f" {metric} |" in text for metric in ALL_METRICS)
    assert text.count("| own_cover |") == 3
