"""The gate names what, how much, the limit and what to do."""

import pytest

from icg_tasks.contracts.errors import EXIT_REFUSED, GateRefused
from icg_tasks.intake.gate import open_gate
from icg_tasks.intake.great import Finding


def judge(findings: list[Finding] | None = None, *, raw: int = 100, clean: int = 100, charged: int = 0) -> None:
    open_gate(
        "impressions of today",
        raw_rows=raw,
        clean_rows=clean,
        charged_rows=charged,
        max_share=0.05,
        findings=findings or [],
        advice="Look there.",
    )


def finding(*, success: bool, critical: bool) -> Finding:
    return Finding(
        label="volume", column="", success=success, critical=critical, observed="3", limit="min_value=40", advice="count files"
    )


def test_within_the_budget_passes():
    judge(charged=5, clean=95)


def test_one_bad_row_never_spends_the_budget_alone_but_two_do():
    judge(raw=10, clean=9, charged=1)
    with pytest.raises(GateRefused, match=r"2 of 10 rows \(20.0%\).*limit is 5.0%.*max_quarantined_share.*Look there"):
        judge(raw=10, clean=8, charged=2)


def test_nothing_left_is_refused_even_if_nothing_is_charged():
    with pytest.raises(GateRefused, match="no usable row") as caught:
        judge(raw=1, clean=0, charged=0)
    assert caught.value.exit_code == EXIT_REFUSED


def test_failed_critical_expectation_refuses_and_a_warning_does_not():
    judge([finding(success=False, critical=False), finding(success=True, critical=True)])
    with pytest.raises(GateRefused, match="'volume': saw 3, limit min_value=40; count files"):
        judge([finding(success=False, critical=True)])
