"""Settings of housekeeping: for how long what is kept."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HousekeepingSettings:
    """Days before the run date; 0: for ever. What is still referenced stays whatever its age."""

    data_days: int = 120  # partitions of clean/ and features/: a date older than this can no longer be run again
    raw_days: int = 0  # raw/impressions; the platform's own log, so it is left alone unless asked for
    quarantine_days: int = 30  # held rows may hold raw user ids
    model_days: int = 60  # weights of versions that are nobody's champion since then; their cards stay
    report_days: int = 400
    run_days: int = 90  # closing lines, records for reuse
    carried_days: int = 3  # scratch of stages that never came back for it
    grace_hours: float = 48.0  # nothing written so recently is touched
    max_deleted_share: float = 0.5  # of the bytes it looks at, beyond which nothing is deleted and somebody should look
