"""Failure budgets of single rules: ``intake.rule_budgets`` as shares of the raw rows, checked against the rules there are."""

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.intake import impression_rules, item_rules


def known_reasons() -> list[str]:
    """Every reason for which a rule of either data set quarantines a row."""
    return sorted({check.reason for check in impression_rules.CHECKS} | {check.reason for check in item_rules.CHECKS})


def rule_budgets(settings: IntakeSettings) -> dict[str, float]:
    """Largest share of the raw rows that each named rule may refuse; raises SettingsError.

    >>> rule_budgets(IntakeSettings(rule_budgets="unknown_item=0.02, too_late = 0.1"))
    {'unknown_item': 0.02, 'too_late': 0.1}
    """
    found: dict[str, float] = {}
    for part in filter(str.strip, settings.rule_budgets.split(",")):
        reason, _, text = (word.strip() for word in part.partition("="))
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if reason not in known_reasons() or not 0 <= share <= 1:
            raise SettingsError(
                f"intake.rule_budgets has {part.strip()!r}: expected REASON=SHARE from 0 to 1, the reason one of "
                f"{', '.join(known_reasons())}"
            )
        found[reason] = share
    return found
