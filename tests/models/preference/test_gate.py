import pytest

from icg_tasks.config.settings import PreferenceSettings
from icg_tasks.models.preference.gate import Canaries, canary_alarm, decide
from icg_tasks.models.statistics import Interval

SETTINGS = PreferenceSettings()


def about(mean, half=0.01):
    return Interval(mean=mean, low=mean - half, high=mean + half)


def canaries(**changes):
    healthy = {"calibration_error": 0.02, "calibration_noise": 0.01, "dispersion": 0.5, "own_minus_swapped": about(0.1)}
    return Canaries(**(healthy | changes))


BASELINES = {"global_rate": about(0.5, 0.0), "item_popularity": about(0.62), "user_topic": about(0.66)}


@pytest.mark.parametrize(("auc", "accepted"), [(0.72, True), (0.655, True), (0.645, False), (0.63, False)])
def test_a_first_model_must_beat_the_lower_end_of_the_best_baseline(auc, accepted):
    decision = decide(about(auc), BASELINES, None, canaries(), SETTINGS)
    assert decision.accepted is accepted
    assert "user_topic" in decision.reason


@pytest.mark.parametrize(
    ("difference", "accepted"), [(about(0.0, 0.001), True), (about(0.01, 0.02), False), (about(-0.01, 0.001), False)]
)
def test_a_challenger_must_not_be_worse_than_the_champion_beyond_doubt(difference, accepted):
    assert decide(about(0.4), BASELINES, difference, canaries(), SETTINGS).accepted is accepted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"calibration_error": 0.2}, "calibration"),
        ({"calibration_error": float("nan")}, "calibration"),
        ({"dispersion": 0.0001}, "standard deviation"),
        ({"dispersion": 40.0}, "standard deviation"),
        ({"own_minus_swapped": about(-0.05)}, "another user's vector"),
    ],
)
def test_a_dead_canary_refuses_whatever_the_auc(change, words):
    assert words in (canary_alarm(canaries(**change), SETTINGS) or "")
    decision = decide(about(0.99), BASELINES, about(0.2), canaries(**change), SETTINGS)
    assert not decision.accepted
    assert words in decision.reason


def test_luck_on_few_rows_is_no_alarm():
    assert canary_alarm(canaries(calibration_error=0.09, calibration_noise=0.05), SETTINGS) is None
