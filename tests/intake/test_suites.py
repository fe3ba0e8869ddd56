"""Bounds of volume and drift follow the trailing week and give small numbers room."""

from datetime import date, timedelta

import pytest

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.intake.suites import drift_bounds, volume_bounds
from icg_tasks.intake.windows import PastDay

SETTINGS = IntakeSettings()


def week(rows: int, clicks: int, days: int = 7) -> list[PastDay]:
    return [PastDay(day=date(2026, 3, 1) + timedelta(days=index), rows=rows, clicks=clicks) for index in range(days)]


def test_first_day_has_no_past_to_be_held_against():
    assert volume_bounds(SETTINGS, []) == (1, None)
    assert drift_bounds(0.5, [], 1000) is None
    assert drift_bounds(0.5, week(1000, 100), 0) is None


def test_large_days_are_held_to_the_ratios():
    low, high = volume_bounds(SETTINGS, week(100_000, 0))
    assert 0.38 < low / 100_000 <= 0.4
    assert high is not None
    assert 2.5 <= high / 100_000 < 2.52


def test_volume_is_held_against_the_median_so_one_odd_day_does_not_move_it():
    past = [*week(1000, 0, 6), PastDay(day=date(2026, 3, 8), rows=50_000, clicks=0)]
    assert volume_bounds(SETTINGS, past) == volume_bounds(SETTINGS, week(1000, 0))


@pytest.mark.parametrize(("rows", "slack"), [(100_000, 0.01), (400, 0.6)])
def test_click_rate_gets_the_room_of_chance(rows, slack):
    bounds = drift_bounds(0.5, week(rows, rows // 5), rows)
    assert bounds is not None
    low, high = bounds
    assert low <= 0.1 <= low + 0.2 * slack + 0.005
    assert high - 0.2 * slack - 0.005 <= 0.3 <= high


def test_a_week_without_clicks_still_gives_bounds():
    bounds = drift_bounds(0.5, week(100, 0), 100)
    assert bounds is not None
    assert 0.0 == bounds[0] < bounds[1] < 0.05
