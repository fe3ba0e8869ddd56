"""Budgets of single rules: read from settings, refused where they name nothing, spent by their own rule alone."""

from dataclasses import replace

import pytest

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.contracts.errors import GateRefused, SettingsError
from icg_tasks.intake.budgets import known_reasons, rule_budgets
from icg_tasks.intake.gate import open_gate

SETTINGS = IntakeSettings()


def test_default_budgets_name_rules_that_there_are():
    assert set(rule_budgets(SETTINGS)) <= set(known_reasons())
    assert rule_budgets(SETTINGS)
    assert rule_budgets(replace(SETTINGS, rule_budgets="")) == {}


@pytest.mark.parametrize("text", ["bad_luck=0.1", "unknown_item", "unknown_item=lots", "unknown_item=1.5", "unknown_item=-1"])
def test_what_cannot_be_a_budget_is_refused(text):
    with pytest.raises(SettingsError, match=r"intake\.rule_budgets"):
        rule_budgets(replace(SETTINGS, rule_budgets=text))


def gate(reasons: dict[str, int], rows: int = 1000) -> None:
    charged = sum(reasons.values())
    open_gate(
        "a day", raw_rows=rows, clean_rows=rows - charged, charged_rows=charged, max_share=0.5, findings=[], advice="",
        reasons=reasons, budgets={"unknown_item": 0.02},
    )  # fmt: skip


def test_a_rule_spends_its_own_budget_only():
    gate({"unknown_item": 20, "too_late": 300})
    with pytest.raises(GateRefused, match=r"rule unknown_item: 21 of 1000 rows \(2.1%\), its own limit is 2.0%.*rule_budgets"):
        gate({"unknown_item": 21})
    gate({"unknown_item": 1}, rows=3)  # one single row never does
