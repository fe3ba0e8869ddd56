"""docs/expectations.md: every row rule and every expectation, written from the tables that are run.

``python -m icg_tasks.intake.handbook --write`` makes it, ``--check`` (and a test) says where it is no longer true. Imports
Great Expectations (8 s).
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.intake import impression_rules, item_rules
from icg_tasks.intake.budgets import rule_budgets
from icg_tasks.intake.rules import Check
from icg_tasks.intake.versions import VERSIONS

DOCUMENT = Path("docs/expectations.md")
_SHOWN = 120
_INTRODUCTION = """# What the data must be

Written by `python -m icg_tasks.intake.handbook --write` from the tables that validation runs; a test keeps it true.

A raw row is judged by the row rules in this order; the first that refuses it names the reason for which it lies in
`quarantine/`, with what to do. The clean rows of a day are then judged as a whole by the expectations (Great Expectations, on
pandas or, from `intake.spark_rows` rows on, on Spark), whose bounds come from settings and the trailing week; figures of the
day are held against the trailing weeks besides (`icg_tasks/intake/anomalies.py`). A day is refused when more than
`intake.max_quarantined_share` of its rows are in quarantine, when a rule with a budget of its own has spent it, when a critical
expectation fails, or when a column has changed its type. After a fix, `icg requeue --run-date D [--rule REASON]` lets
quarantined rows in again.
"""


class _Settings:
    """Stands for the settings in a rule's words: each is called by its name."""

    def __getattr__(self, name: str) -> str:
        return f"`intake.{name}`"


def handbook() -> str:
    """The whole document."""
    from icg_tasks.intake.suites import impression_suite, item_suite

    settings = IntakeSettings()
    suites: dict[str, tuple[Sequence[Check[Any]], list[Any]]] = {
        "items": (item_rules.CHECKS, item_suite(settings, [])),
        "impressions": (impression_rules.CHECKS, impression_suite(settings, [], 1_000_000)),
    }
    parts = [_INTRODUCTION]
    for name, (checks, suite) in suites.items():
        told = fingerprint(checks, suite)
        parts.append(f"\n## {name.capitalize()}: version {VERSIONS[name].number} (content {told})\n")
        parts += [
            "\n### Row rules\n",
            _table(("reason", "column", "expected", "what to do", "budget"), _rules(checks, settings)),
        ]
        parts += [
            "\n### Expectations of a day\n",
            _table(
                ("expectation", "column", "bounds at default settings, without a past", "if it fails"), _expectations(suite)
            ),
        ]
    return "".join(parts)


def fingerprint(checks: Sequence[Check[Any]], suite: Sequence[Any]) -> str:
    """Twelve hex digits of everything that is said of a data set."""
    told = json.dumps([_rules(checks, IntakeSettings()), _expectations(suite)], ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def faults(root: Path) -> list[str]:
    """What is not true any more, empty where all is."""
    text = handbook()
    found = [
        f"{name}: rules or expectations changed; raise its version and set its fingerprint in icg_tasks/intake/versions.py "
        f"(the content is now {line.rpartition(' ')[2].rstrip(')')})"
        for name, version in VERSIONS.items()
        for line in text.splitlines()
        if line.startswith(f"## {name.capitalize()}: ") and version.fingerprint not in line
    ]
    path = root / DOCUMENT
    if not path.is_file() or path.read_text() != text:
        found.append(f"{DOCUMENT} is out of date; run python -m icg_tasks.intake.handbook --write")
    return found


def _rules(checks: Sequence[Check[Any]], settings: IntakeSettings) -> list[tuple[str, ...]]:
    budgets = rule_budgets(settings)
    rows: list[tuple[str, ...]] = []
    for check in checks:
        rule = check.said(day="the day", first="`intake.late_days` before it", settings=_Settings())
        shared = "the day's" if rule.charged else "not charged"
        budget = f"{budgets[rule.reason]:.0%} of its own" if rule.reason in budgets else shared
        rows.append((f"`{rule.reason}`", rule.column, rule.expected, rule.advice, budget))
    return rows


def _expectations(suite: Sequence[Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for expectation in suite:
        config = expectation.configuration
        bounds = {
            name: value for name, value in config.kwargs.items() if name not in {"column", "mostly"} and value is not None
        }
        text = ", ".join(f"{name} {value}" for name, value in sorted(bounds.items()))
        kind = str(getattr(config.severity, "value", config.severity))
        rows.append(
            (
                f"{config.meta['label']} (`{config.type}`)",
                str(config.kwargs.get("column", "")),
                text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…",
                "the day is refused" if kind == "critical" else "a warning",
            )
        )
    return rows


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n" + "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """``--write`` or ``--check``; exit code 1 where something is not true."""
    parser = argparse.ArgumentParser(prog="python -m icg_tasks.intake.handbook")
    parser.add_argument("--write", action="store_true", help="write docs/expectations.md")
    parser.add_argument("--check", action="store_true", help="say what is out of date (the default)")
    root = Path(__file__).resolve().parents[2]
    if parser.parse_args(words).write:
        (root / DOCUMENT).write_text(handbook())
    found = faults(root)
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
