"""The last step of validating a day: suite, Data Docs and gate on the clean rows; what came out as a DayReport.

Shared by the data sets; does not know what is expected.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pandas as pd

from icg_tasks.contracts.partitions import partition_prefix
from icg_tasks.intake.days import DayReport
from icg_tasks.intake.gate import open_gate
from icg_tasks.intake.great import run_suite
from icg_tasks.intake.raw import RawDay
from icg_tasks.stage import StageContext


def examine_day(
    context: StageContext,
    day: date,
    *,
    dataset: str,
    quarantine: str,
    raw: RawDay,
    frame: pd.DataFrame,
    suite: Sequence[Any],
    reasons: dict[str, int],
    charged: int,
    figures: dict[str, Any],
) -> DayReport:
    """Judge the clean rows ``frame``; ``reasons`` and ``charged`` are rows in quarantine, all and those against the budget.

    Raises GateRefused; quarantine and pages are in the store by then.
    """
    raw_rows = raw.readable_rows + raw.lost_rows
    findings, docs = run_suite(context.store, dataset, day, frame, suite)
    open_gate(
        f"{dataset} of {day}",
        raw_rows=raw_rows,
        clean_rows=len(frame),
        charged_rows=charged,
        max_share=context.settings.intake.max_quarantined_share,
        findings=findings,
        advice=f"Reasons {reasons}; rows: {context.store.address(partition_prefix(quarantine, day))}; "
        f"pages: {context.store.address(docs)}",
    )
    return DayReport(
        day=day,
        raw_rows=raw_rows,
        clean_rows=len(frame),
        quarantined=reasons,
        docs=docs,
        figures={
            **figures,
            "quarantined_share": round(charged / max(raw_rows, 1), 6),
            "expectations": {"passed": sum(finding.success for finding in findings), "of": len(findings)},
            "warnings": [f"{finding.label}: {finding.observed}" for finding in findings if not finding.success],
        },
    )
