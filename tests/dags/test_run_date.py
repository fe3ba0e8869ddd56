"""The run date's order of precedence, and what is said where it is no date."""

import doctest
from datetime import datetime

import pytest
from airflow.sdk.exceptions import AirflowFailException
from icg_dags import run_date

LOGICAL, AFTER = datetime(2026, 3, 10), datetime(2026, 11, 1, 7)


@pytest.mark.parametrize(
    ("conf", "params", "logical", "expected"),
    [
        ({"run_date": "2026-03-08"}, {"run_date": "2026-03-09"}, LOGICAL, "2026-03-08"),
        ({}, {"run_date": "2026-03-09"}, LOGICAL, "2026-03-09"),
        (None, {"run_date": None}, LOGICAL, "2026-03-10"),
        (None, {"run_date": ""}, LOGICAL, "2026-03-10"),
        (None, {}, None, "2026-11-01"),
    ],
)
def test_first_of_conf_param_logical_date_moment(conf, params, logical, expected):
    assert run_date.resolve_run_date(conf, params, logical, AFTER) == expected


@pytest.mark.parametrize("asked", ["yesterday", "2026-02-30", "10.03.2026", 20260310.5])
def test_what_is_no_date_is_not_retried_and_explained(asked):
    with pytest.raises(AirflowFailException, match="YYYY-MM-DD"):
        run_date.resolve_run_date({"run_date": asked}, {}, LOGICAL, AFTER)


def test_examples_are_true():
    found = doctest.testmod(run_date)
    assert found.attempted == 2
    assert found.failed == 0
