"""Stage collect-covers: `icg covers collect` for an orchestrator, with a closing line. What is collected, collect.py says.

Run: ``icg collect-covers --run-date 2026-03-10 [--dry-run]``; the run date only says where the closing line is kept.
"""

from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.covers.collect import collect
from icg_tasks.covers.roots import Retention
from icg_tasks.stage import StageContext


def run(context: StageContext) -> StageOutcome:
    """One collection by the settings of ``covers``; raises what ``collect`` raises."""
    covers = context.settings.covers
    retention = Retention(dates=covers.retention_dates, grace_seconds=covers.collect_grace_hours * 3600)
    report = collect(context.store, retention, dry_run=bool(context.arguments.get("dry_run")))
    figures = report.to_json()
    context.say(f"retired {len(report.retired)} dates; {report.objects.total()} objects, {report.bytes} bytes")
    return StageOutcome(counts=dict(figures.pop("objects")), figures=figures)
