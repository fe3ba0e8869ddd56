"""Stage erase: forget who asked to be forgotten, now, and look again for everybody who ever asked.

validate-impressions does the first every day by itself; this is for the day somebody wants certainty. Published indexes are
cleaned by publish-covers. Run: ``icg erase --run-date 2026-03-01``.
"""

from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.door import open_door
from icg_tasks.intake.erasure import honour_erasures
from icg_tasks.lake.certificates import certificate_key, read_certificate
from icg_tasks.stage import StageContext


def run(context: StageContext) -> StageOutcome:
    """Honour all requests everywhere; raises GateRefused where one cannot be read, SettingsError without a key."""
    erased = honour_erasures(context, open_door(), everywhere=True)
    days = sorted(set(erased.values()))
    certificates = [read_certificate(context.store, day) for day in days]
    removed = sum(
        entry["before"] - entry["after"]
        for body in certificates
        for part in body["data_sets"].values()
        for entry in part.values()
    )
    context.say(f"{len(erased)} users erased, {removed} rows in all; certificates: {len(days)}")
    return StageOutcome(
        outputs=[certificate_key(day) for day in days], counts={"users": len(erased), "rows_removed_in_all": removed}
    )
