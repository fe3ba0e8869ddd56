"""The closing line every stage prints, and the names that Dag and command line share."""

import json

import pytest

from icg_tasks.cli import STAGES
from icg_tasks.contracts import errors, stages


def result(**figures: object) -> stages.StageResult:
    return stages.StageResult(
        stage="report", run_date="2026-03-10", seconds=1.5, outputs=["a"], counts={"rows": 2}, figures=figures
    )


def test_closing_line_is_one_line_of_json_with_the_six_keys():
    line = result(text="zwei\nZeilen").to_json()
    assert "\n" not in line
    assert list(json.loads(line)) == ["stage", "run_date", "seconds", "outputs", "counts", "figures"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_json_is_an_error_not_a_surprise_for_readers(value):
    with pytest.raises(ValueError, match="JSON"):
        result(auc=value).to_json()


def test_every_stage_of_the_day_is_a_command():
    assert set(stages.DAY_IN_ORDER) <= set(STAGES)
    assert len(set(stages.DAY_IN_ORDER)) == len(stages.DAY_IN_ORDER) >= 13


def test_exit_codes_are_the_documented_ones():
    assert (errors.IcgError.exit_code, errors.GateRefused.exit_code, errors.Interrupted.exit_code) == (1, 3, 75)
    assert errors.SettingsError.exit_code == 2
