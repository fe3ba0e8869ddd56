"""One day of one data set through validation: rules, quarantine, suite, anomalies, gate, clean partition. The same for each.

``validate_day`` starts from raw files, ``requeue_day`` from what is in quarantine; both end in ``_settle``. What a data set is
like is its Subject's business.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.partitions import partition_prefix
from icg_tasks.contracts.schemas import QUARANTINE
from icg_tasks.intake.anomalies import REFUSED, WARNING
from icg_tasks.intake.budgets import rule_budgets
from icg_tasks.intake.columns import parse_table
from icg_tasks.intake.days import DayReport
from icg_tasks.intake.figures import counted
from icg_tasks.intake.gate import open_gate
from icg_tasks.intake.great import Finding, on_spark, run_suite
from icg_tasks.intake.held import can_be_judged_again, held_columns
from icg_tasks.intake.quality import profile_day
from icg_tasks.intake.quarantine import judged_again
from icg_tasks.intake.raw import RawDay, read_raw_day
from icg_tasks.intake.rules import DayFacts, judge, said_about
from icg_tasks.intake.schema_changes import SchemaReport, compare_types
from icg_tasks.intake.sorting import clean_metadata, parse_day, quarantine_table
from icg_tasks.intake.subject import Subject
from icg_tasks.intake.versions import version_of
from icg_tasks.intake.windows import trailing_week
from icg_tasks.lake.partitions import (
    encode_part,
    find_partition,
    finish_partition,
    latest_partition_before,
    read_partition,
    store_part,
    write_partition,
)
from icg_tasks.stage import StageContext

F = TypeVar("F", bound=DayFacts)


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """A day's rows after the rules. ``raw_rows``: all there were (but those kept nowhere), ``lost_rows`` of them unreadable.

    ``let_in``: some of them come from quarantine.
    """

    clean: pa.Table
    held: pa.Table
    raw_rows: int
    lost_rows: int
    metadata: dict[str, Any]
    schema: SchemaReport | None = None
    let_in: bool = False
    said: dict[str, Any] = field(default_factory=dict)


def validate_day(context: StageContext, subject: Subject[F], day: date) -> DayReport:
    """From the day's raw files; raises DataMissing, GateRefused."""
    raw = read_raw_day(context.store, subject.raw, day, max_file_bytes=context.settings.intake.max_raw_file_bytes)
    columns = parse_day(raw, subject.kinds)
    facts = subject.facts(context, day, columns)
    with ThreadPoolExecutor(1) as beside:  # hashing names is Python's work, rules and sorting are NumPy's and Arrow's
        naming = beside.submit(subject.columns_let_in, columns)
        found = judge(subject.checks, columns, facts)
        let_in = naming.result()
        out = subject.kept_out(let_in, day)
        sorting = beside.submit(subject.table, let_in, (found == 0) & ~out, facts)
        refused, rules = np.where(out, 0, found), said_about(subject.checks, facts)
        held = quarantine_table(raw, refused, rules, declared=subject.raw_schema.names, user_name=subject.user_name)
        clean = sorting.result()
    raw_rows = raw.readable_rows + raw.lost_rows - int(out.sum())
    schema = _schema(context, subject, raw, day, raw_rows)
    rows = Sorted(
        clean=clean,
        held=held,
        raw_rows=raw_rows,
        lost_rows=raw.lost_rows,
        metadata=clean_metadata(raw, subject.raw_schema.names, raw_rows) | {"types": schema.types},
        schema=schema,
        said={"erased_rows": int(out.sum())} if out.any() else {},
    )
    del raw, columns, let_in  # a day of millions of rows is not kept twice while its suite runs
    return _settle(context, subject, facts, rows)


def requeue_day(context: StageContext, subject: Subject[F], day: date, rule: str) -> tuple[DayReport | None, dict[str, int]]:
    """Judge the day's quarantined rows again (those of one ``rule``, all where it is empty), and let in what passes now.

    The report (None where nothing changed) and rows let in by the reason they were held for. Raises DataMissing, GateRefused.
    """
    clean, held = _there(context, subject, day)
    reasons = held.column("reason").to_pylist()
    again = np.array(can_be_judged_again(held), dtype=bool) & np.array([rule in {"", name} for name in reasons], dtype=bool)
    asked = held.filter(pa.array(again))
    columns = parse_table(held_columns(asked, subject.raw_schema.names), subject.kinds)
    facts = subject.again(context, day, subject.facts(context, day, columns), clean)
    found = judge(subject.checks, columns, facts)
    let_in = subject.columns_let_in(columns)
    out = subject.kept_out(let_in, day)
    good = (found == 0) & ~out
    after = judged_again(asked, found, said_about(subject.checks, facts))
    remaining = _merged(held, again, after, keep=~(good | out))
    if remaining.equals(held):
        return None, {}
    partition = find_partition(context.store, subject.clean, day)
    metadata = dict(partition.metadata) if partition else {}
    raw_rows = int(metadata.get("raw_rows", clean.num_rows + held.num_rows)) - int(out.sum())
    merged = pa.concat_tables([clean, subject.table(let_in, good, facts)]).sort_by(subject.order()).combine_chunks()
    report = _settle(
        context,
        subject,
        facts,
        Sorted(
            clean=merged,
            held=remaining,
            raw_rows=raw_rows,
            lost_rows=0,
            metadata=metadata | {"raw_rows": raw_rows},
            let_in=True,
        ),
    )
    return report, counted([name for name, let in zip(asked.column("reason").to_pylist(), good, strict=True) if let])


def _merged(held: pa.Table, again: Any, after: pa.Table, *, keep: Any) -> pa.Table:
    """Held rows in their old order: those judged again as they are judged now, without those that left."""
    places = np.concatenate([np.flatnonzero(~again), np.flatnonzero(again)[keep]])
    whole = pa.concat_tables([held.filter(pa.array(~again)), after.filter(pa.array(keep))])
    return whole.take(pa.array(np.argsort(places, kind="stable"))).combine_chunks()


def _there(context: StageContext, subject: Subject[F], day: date) -> tuple[pa.Table, pa.Table]:
    """The day's clean and quarantined rows; raises DataMissing where the day was never let in."""
    if find_partition(context.store, subject.clean, day) is None:
        raise DataMissing(
            f"{subject.clean} of {day} is not there, so there is nothing to let rows into: the day was refused as a whole or "
            f"never validated; run `icg validate-{subject.name} --run-date {day}` with the fix in place"
        )
    if find_partition(context.store, subject.quarantine, day) is None:
        return read_partition(context.store, subject.clean, day), QUARANTINE.empty_table()
    return read_partition(context.store, subject.clean, day), read_partition(context.store, subject.quarantine, day)


def _schema(context: StageContext, subject: Subject[F], raw: RawDay, day: date, raw_rows: int) -> SchemaReport:
    settings = context.settings.intake
    before = latest_partition_before(context.store, subject.clean, day)
    former = find_partition(context.store, subject.clean, before) if before else None
    metadata = former.metadata if former else {}
    return compare_types(
        raw,
        subject.kinds,
        metadata.get("types", {}),
        metadata.get("unknown_columns", []),
        max_rows=max(1.0, settings.max_quarantined_share * raw_rows),
        accept=settings.accept_type_changes,
    )


def _settle(context: StageContext, subject: Subject[F], facts: F, rows: Sorted) -> DayReport:
    """Quarantine, pages and figures are written first, then the gate decides, then the clean partition.

    Rows that come from quarantine leave it last, when they are clean for certain.
    """
    store, settings, day = context.store, context.settings.intake, facts.day
    reasons = counted(rows.held.column("reason").to_pylist())
    if not rows.let_in:
        _write_held(context, subject, day, rows, reasons)
    frame = subject.frame(rows.clean, facts)
    suite = subject.suite(context, trailing_week(store, subject.clean, day), frame.num_rows)
    spark = context.settings.spark if on_spark(settings, frame.num_rows) else None
    with ThreadPoolExecutor(1) as beside:
        encoding = beside.submit(encode_part, subject.clean, day, rows.clean, schema=subject.schema)
        findings, docs = run_suite(store, subject.name, day, frame, suite, version=version_of(subject.name), spark=spark)
        encoded = encoding.result()
    remarks = list(rows.schema.remarks) if rows.schema else []
    figures = subject.profile(store, rows.clean, reasons, facts)
    anomalies = profile_day(store, subject.name, day, figures, settings, remarks=remarks, docs=docs)
    faults = [*(rows.schema.faults if rows.schema else []), *[a.in_words() for a in anomalies if a.verdict == REFUSED]]
    _pass_gate(context, subject, day, rows, reasons, findings, docs, faults)
    own = subject.figures(rows.clean, facts)
    metadata = {**rows.metadata, "quarantined": reasons, **own, "suite": version_of(subject.name)}
    finish_partition(store, subject.clean, day, [store_part(store, subject.clean, day, 0, encoded)], metadata=metadata)
    if rows.let_in:
        _write_held(context, subject, day, rows, reasons)
    clean = f"{rows.clean.num_rows} of {rows.raw_rows} {subject.name} clean"
    context.say(f"{day}: {clean}, {rows.held.num_rows} in quarantine {reasons or ''}")
    warnings = [
        *[f"{finding.label}: {finding.observed}" for finding in findings if not finding.success],
        *remarks,
        *[anomaly.in_words() for anomaly in anomalies if anomaly.verdict == WARNING],
    ]
    for remark in [*subject.remarks(facts), *warnings]:
        context.say(f"{day}: {remark}")
    charged = _charged(subject, reasons, rows) / max(rows.raw_rows, 1)
    passed = {"passed": sum(finding.success for finding in findings), "of": len(findings)}
    more = {"quarantined_share": round(charged, 6), "expectations": passed, "warnings": warnings}
    return DayReport(
        day=day,
        raw_rows=rows.raw_rows,
        clean_rows=rows.clean.num_rows,
        quarantined=reasons,
        docs=docs,
        figures={**own, **subject.said(facts), **rows.said, **more},
    )


def _write_held(context: StageContext, subject: Subject[F], day: date, rows: Sorted, reasons: dict[str, int]) -> None:
    write_partition(context.store, subject.quarantine, day, [rows.held], schema=QUARANTINE, metadata={"reasons": reasons})


def _pass_gate(
    context: StageContext,
    subject: Subject[F],
    day: date,
    rows: Sorted,
    reasons: dict[str, int],
    findings: list[Finding],
    docs: str,
    faults: list[str],
) -> None:
    store, settings = context.store, context.settings.intake
    open_gate(
        f"{subject.name} of {day}",
        raw_rows=rows.raw_rows,
        clean_rows=rows.clean.num_rows,
        charged_rows=_charged(subject, reasons, rows),
        max_share=settings.max_quarantined_share,
        findings=findings,
        reasons=reasons,
        budgets=rule_budgets(settings),
        faults=faults,
        advice=f"Reasons {reasons}; rows: {store.address(partition_prefix(subject.quarantine, day))}; "
        f"pages: {store.address(docs)}",
    )


def _charged(subject: Subject[F], reasons: dict[str, int], rows: Sorted) -> int:
    """Rows that count against the failure budget: refused by a rule that is charged, or lost with their file."""
    charged = {check.reason for check in subject.checks if check.charged}
    return sum(count for reason, count in reasons.items() if reason in charged) + rows.lost_rows
