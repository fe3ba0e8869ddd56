"""Stage validate-items: the raw catalogue of a day to a clean one, every image decoded once, quarantine, Data Docs, a gate.

A broken image costs its item only. Does not know users. Run: ``icg validate-items --run-date 2026-03-01``.
"""

from icg_tasks.contracts.partitions import ITEMS, ITEMS_RAW, QUARANTINE_ITEMS
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.days import validate_days
from icg_tasks.intake.items import Items
from icg_tasks.intake.one_day import validate_day
from icg_tasks.stage import StageContext


def run(context: StageContext) -> StageOutcome:
    """Validate the run date's catalogue and those missing before it; raises GateRefused, DataMissing."""
    subject = Items(context.store, context.settings.intake)
    return validate_days(
        context,
        raw=ITEMS_RAW,
        clean=ITEMS,
        quarantine=QUARANTINE_ITEMS,
        validate_day=lambda day: validate_day(context, subject, day),
    )
