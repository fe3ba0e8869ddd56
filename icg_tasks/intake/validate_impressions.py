"""Stage validate-impressions: raw impressions of a day to clean ones, keyed hashes for users, quarantine, Data Docs, a gate.

Forgets who asked to be forgotten first, and while the key is being changed moves the day's users to their new hashes. Judges
earlier days without a clean partition too (intake.catch_up_days), so a fresh store gets its window. Does not know where raw
data comes from. Run: ``icg validate-impressions --run-date 2026-03-01`` with ICG_PSEUDONYM_KEY set.
"""

from dataclasses import replace
from datetime import date

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.partitions import IMPRESSIONS, IMPRESSIONS_RAW, QUARANTINE_IMPRESSIONS
from icg_tasks.contracts.pseudonym import FORMER_KEY_VARIABLE, KEY_VARIABLE, key_name
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.days import DayReport, validate_days
from icg_tasks.intake.door import Door, open_door
from icg_tasks.intake.erasure import honour_erasures
from icg_tasks.intake.impressions import Impressions
from icg_tasks.intake.one_day import validate_day
from icg_tasks.intake.rotate_key import move_users, moves_of
from icg_tasks.lake.partitions import find_partition, latest_partition_before
from icg_tasks.stage import StageContext


def run(context: StageContext) -> StageOutcome:
    """Validate the run date and what is missing before it; raises GateRefused, DataMissing, SettingsError (no key)."""
    door = open_door()
    _same_key(context, door)
    door = replace(door, erased=honour_erasures(context, door))
    subject = Impressions(door)

    def validate(day: date) -> DayReport:
        if door.former is not None:
            moved = move_users(context, door, moves_of(context, door, day))
            context.say(f"{day}: {moved['users']} users moved to the new key in {moved['partitions']} partitions")
        return validate_day(context, subject, day)

    return validate_days(
        context, raw=IMPRESSIONS_RAW, clean=IMPRESSIONS, quarantine=QUARANTINE_IMPRESSIONS, validate_day=validate
    )


def _same_key(context: StageContext, door: Door) -> None:
    """The newest clean day before the run date was hashed with this key, or with the former one of a change under way."""
    before = latest_partition_before(context.store, IMPRESSIONS, context.run_date)
    partition = find_partition(context.store, IMPRESSIONS, before) if before else None
    found = partition.metadata.get("key") if partition else None
    ours = {key_name(key) for key in (door.key, door.former) if key is not None}
    if found is not None and found not in ours and not context.settings.privacy.accept_new_key:
        raise SettingsError(
            f"users of {before} were hashed with another {KEY_VARIABLE} (its name is {found}, ours {key_name(door.key)}): "
            f"every user would be a stranger. Set the same key; to change it, set {FORMER_KEY_VARIABLE} to the key before and "
            "run icg rotate-key; to go on without anybody's past, --set privacy.accept_new_key=true"
        )
