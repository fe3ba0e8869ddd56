"""Robust z-scores: an odd day stands out, an odd day in the past does not hide it, chance at small sizes is no anomaly."""

from dataclasses import replace

import pytest

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.intake.anomalies import REFUSED, TOO_EARLY, USUAL, WARNING, Figure, judge_figures, robust_z, share

SETTINGS = IntakeSettings()


def past(*values: float) -> list[dict[str, float]]:
    return [{"rows": value} for value in values]


def verdict(value: float, days: list[dict[str, float]], settings: IntakeSettings = SETTINGS, noise: float = 0.0) -> str:
    (found,) = judge_figures([Figure(name="rows", value=value, noise=noise)], days, settings)
    return found.verdict


def test_one_odd_day_in_the_past_hides_nothing():
    week = past(100, 102, 98, 101, 99, 100, 1000)
    assert verdict(100, week) == USUAL
    assert verdict(150, week) == WARNING
    assert verdict(50, week) == WARNING


def test_refusal_is_a_setting_and_both_can_be_off():
    week = past(100, 102, 98, 101, 99, 100)
    assert verdict(150, week, replace(SETTINGS, anomaly_refusal=10.0)) == REFUSED
    assert verdict(110, week, replace(SETTINGS, anomaly_refusal=10.0)) == WARNING
    assert verdict(1e9, week, replace(SETTINGS, anomaly_warning=0.0)) == USUAL


def test_without_enough_days_nothing_is_said():
    assert verdict(1e9, past(100, 100, 100, 100)) == TOO_EARLY
    assert verdict(1e9, [{"clicks": 1.0}] * 20) == TOO_EARLY


def test_chance_at_this_size_is_no_anomaly():
    small, large = share("click_rate", 20, 100), share("click_rate", 200_000, 1_000_000)
    assert abs(robust_z(small.value, [0.14] * 9, small.noise)) < 2
    assert robust_z(large.value, [0.14] * 9, large.noise) > 30
    assert robust_z(5.0, [0.0] * 9, 0.0) == 0.0


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_finding_is_plain_values(value):
    (found,) = judge_figures([Figure(name="rows", value=value, noise=1.0)], past(1, 2, 3, 4, 5), SETTINGS)
    assert found.as_json()["usual"] == 3
    assert "usually 3" in found.in_words()
