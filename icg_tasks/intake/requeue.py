"""Stage requeue: quarantined rows of a day go through the rules again, and those that pass now join the clean rows.

For after a fix: a surface added to settings, an image delivered again, an item mended. A row is judged beside all that is clean
already, so none is ever counted twice, and doing it again changes nothing. Rows that stay get the reason they are refused for
now. ``--list`` only tells what is held and why. Run: ``icg requeue --run-date 2026-03-01 [--dataset items] [--rule REASON]``.
"""

from dataclasses import replace
from typing import Any

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.partitions import partition_prefix
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.budgets import known_reasons
from icg_tasks.intake.door import open_door
from icg_tasks.intake.erasure import erased_users
from icg_tasks.intake.held import can_be_judged_again
from icg_tasks.intake.impressions import Impressions
from icg_tasks.intake.items import Items
from icg_tasks.intake.one_day import requeue_day
from icg_tasks.intake.subject import Subject
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.stage import StageContext

DATASETS = ("impressions", "items")


def run(context: StageContext) -> StageOutcome:
    """Let in what passes now; raises SettingsError (unknown rule or data set), DataMissing, GateRefused."""
    dataset, rule = str(context.arguments.get("dataset") or DATASETS[0]), str(context.arguments.get("rule") or "")
    if dataset not in DATASETS or rule not in {"", *known_reasons()}:
        raise SettingsError(
            f"icg requeue --dataset {dataset} --rule {rule or '(all)'}: expected one of {', '.join(DATASETS)}, and a rule "
            f"among {', '.join(known_reasons())}"
        )
    subject = _subject(context, dataset)
    if context.arguments.get("list"):
        return _told(context, subject)
    report, let_in = requeue_day(context, subject, context.run_date, rule)
    if report is None:
        context.say(f"{context.run_date}: nothing changes; what is held is still refused, or cannot be judged again (--list)")
        return StageOutcome(counts={"let_in": 0})
    context.say(
        f"{context.run_date}: {sum(let_in.values())} rows let in {let_in or ''}; run the stages behind validation again"
    )
    prefixes = [partition_prefix(name, context.run_date) for name in (subject.clean, subject.quarantine)]
    return StageOutcome(
        outputs=[*prefixes, report.docs],
        counts={"let_in": sum(let_in.values()), "clean_rows": report.clean_rows, "held": sum(report.quarantined.values())},
        figures={**report.as_figures(), "let_in": let_in},
    )


def _subject(context: StageContext, dataset: str) -> Subject[Any]:
    if dataset == "items":
        return Items(context.store, context.settings.intake)
    return Impressions(replace(open_door(), hashed=True, erased=erased_users(context.store)))


def _told(context: StageContext, subject: Subject[Any]) -> StageOutcome:
    """What is held, by reason: how many rows, one of them, what to do, whether it can be let in from here."""
    if find_partition(context.store, subject.quarantine, context.run_date) is None:
        context.say(f"nothing of {subject.name} was ever quarantined for {context.run_date}")
        return StageOutcome()
    held = read_partition(context.store, subject.quarantine, context.run_date)
    again = can_be_judged_again(held)
    told: dict[str, dict[str, Any]] = {}
    for row, possible in zip(held.to_pylist(), again, strict=True):
        entry = told.setdefault(
            row["reason"], {"rows": 0, "example": row["detail"], "advice": row["advice"], "can_be_judged_again": possible}
        )
        entry["rows"] += 1
    for reason, entry in sorted(told.items(), key=lambda item: -item[1]["rows"]):
        context.say(f"{entry['rows']:>8} {reason}: for example {entry['example']}; {entry['advice']}")
        if not entry["can_be_judged_again"]:
            context.say(f"{'':>8} (not from here: validate the day again, the raw row is needed)")
    return StageOutcome(counts={"held": held.num_rows}, figures={"reasons": told})
