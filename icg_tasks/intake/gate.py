"""The gate: refuses a day whose failure budgets are spent or that fails a critical expectation, and says what to do.

Knows counts and findings; reads and writes nothing.
"""

from collections.abc import Mapping, Sequence

from icg_tasks.contracts.errors import GateRefused
from icg_tasks.intake.great import Finding


def open_gate(
    subject: str,
    *,
    raw_rows: int,
    clean_rows: int,
    charged_rows: int,
    max_share: float,
    findings: Sequence[Finding],
    advice: str,
    reasons: Mapping[str, int] | None = None,
    budgets: Mapping[str, float] | None = None,
    faults: Sequence[str] = (),
) -> None:
    """Pass, or raise GateRefused naming every reason.

    ``charged_rows``: quarantined rows that count against the budget. One single bad row never spends it, however small the day.
    ``subject`` and ``advice``: what was judged, and where to look. ``reasons``: quarantined rows per rule, held against the
    ``budgets`` of those rules that have one of their own; ``faults``: what else speaks against the day, in words.
    """
    faults = list(faults)
    share = charged_rows / raw_rows if raw_rows else 1.0
    if clean_rows == 0:
        faults.append(f"no usable row is left of {raw_rows}; deliver the day again")
    elif charged_rows > max(1.0, max_share * raw_rows):
        faults.append(
            f"{charged_rows} of {raw_rows} rows ({share:.1%}) are in quarantine, the limit is {max_share:.1%}; mend them at "
            "the source, or raise intake.max_quarantined_share for this run"
        )
    faults += _overspent(reasons or {}, budgets or {}, raw_rows) if clean_rows else []
    for finding in findings:
        if finding.critical and not finding.success and clean_rows:
            where = f" of {finding.column}" if finding.column else ""
            faults.append(
                f"expectation '{finding.label}'{where}: saw {finding.observed}, limit {finding.limit}; {finding.advice}"
            )
    if faults:
        raise GateRefused(f"{subject} refused, nothing published to clean/: " + " | ".join(faults) + f". {advice}")


def _overspent(reasons: Mapping[str, int], budgets: Mapping[str, float], raw_rows: int) -> list[str]:
    """Rules that refused more than their own budget; one single row never does."""
    return [
        f"rule {reason}: {count} of {raw_rows} rows ({count / raw_rows:.1%}), its own limit is {limit:.1%}; mend them "
        "at the source, or raise its limit in intake.rule_budgets for this run"
        for reason, limit in budgets.items()
        if (count := reasons.get(reason, 0)) > max(1.0, limit * raw_rows)
    ]
