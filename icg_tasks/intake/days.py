"""Which days a validation stage judges: earlier days of the catch-up window that have raw data but no clean partition, then the
run date. A refused earlier day is skipped and named; only the run date can refuse the stage.

Does not know data sets: it is given their names and a function that validates one day.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from icg_tasks.contracts.errors import IcgError, Interrupted, SettingsError
from icg_tasks.contracts.partitions import partition_prefix
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.raw import raw_day_exists
from icg_tasks.intake.windows import days_before
from icg_tasks.lake.partitions import find_partition
from icg_tasks.stage import StageContext


@dataclass(frozen=True, kw_only=True)
class DayReport:
    """What validating one day did. ``quarantined``: rows per reason; ``figures``: more JSON values, without clocks."""

    day: date
    raw_rows: int
    clean_rows: int
    quarantined: dict[str, int]
    docs: str
    figures: dict[str, Any]

    def as_figures(self) -> dict[str, Any]:
        """JSON values for the stage's closing line."""
        return {
            "day": self.day.isoformat(),
            "raw_rows": self.raw_rows,
            "clean_rows": self.clean_rows,
            "quarantined": self.quarantined,
            "data_docs": self.docs,
            **self.figures,
        }


def validate_days(
    context: StageContext, *, raw: str, clean: str, quarantine: str, validate_day: Callable[[date], DayReport]
) -> StageOutcome:
    """Validate every day that needs it, in order; raises what the run date raises."""
    reports: list[DayReport] = []
    skipped: dict[str, str] = {}
    for day in _earlier_days(context, raw, clean):
        context.stop.check("the days before are whole")
        try:
            reports.append(validate_day(day))
        except (Interrupted, SettingsError):
            raise
        except IcgError as error:
            skipped[day.isoformat()] = str(error)
            context.say(f"skipped {day}: {error}")
    context.stop.check("the days before are whole")
    today = validate_day(context.run_date)
    reports.append(today)
    return StageOutcome(
        outputs=[partition_prefix(dataset, report.day) for report in reports for dataset in (clean, quarantine)]
        + [report.docs for report in reports],
        counts={
            "raw_rows": today.raw_rows,
            "clean_rows": today.clean_rows,
            "quarantined_rows": sum(today.quarantined.values()),
            "caught_up_days": len(reports) - 1,
            "skipped_days": len(skipped),
        },
        figures={**today.as_figures(), "caught_up": [report.as_figures() for report in reports[:-1]], "skipped": skipped},
    )


def _earlier_days(context: StageContext, raw: str, clean: str) -> list[date]:
    return [
        day
        for day in days_before(context.run_date, context.settings.intake.catch_up_days)
        if find_partition(context.store, clean, day) is None and raw_day_exists(context.store, raw, day)
    ]
