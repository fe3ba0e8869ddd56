"""Stage validate-items: the raw catalogue of a day to a clean one, every image decoded once, quarantine, Data Docs, a gate.

A broken image costs its item only. Does not know users. Run: ``icg validate-items --run-date 2026-03-01``.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date

import pyarrow as pa

from icg_tasks.contracts.partitions import ITEMS, ITEMS_RAW, QUARANTINE_ITEMS
from icg_tasks.contracts.schemas import ITEMS as SCHEMA
from icg_tasks.contracts.schemas import RAW_ITEMS, TIMESTAMP
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.intake.columns import Bools, Column
from icg_tasks.intake.days import DayReport, validate_days
from icg_tasks.intake.examine import examine_day
from icg_tasks.intake.images import CheckedImage, ImageChecker
from icg_tasks.intake.item_rules import KINDS, duplicate_items, image_keys, image_rules, item_rules
from icg_tasks.intake.raw import read_raw_day
from icg_tasks.intake.rules import Rule, verdicts
from icg_tasks.intake.sorting import charged_rows, clean_metadata, parse_day, write_quarantine
from icg_tasks.intake.windows import trailing_week
from icg_tasks.lake.partitions import latest_partition_before, read_partition, write_partition
from icg_tasks.stage import StageContext


def run(context: StageContext) -> StageOutcome:
    """Validate the run date's catalogue and those missing before it; raises GateRefused, DataMissing."""
    settings = context.settings.intake
    checker = ImageChecker(store=context.store, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    return validate_days(
        context,
        raw=ITEMS_RAW,
        clean=ITEMS,
        quarantine=QUARANTINE_ITEMS,
        validate_day=lambda day: _validate_day(context, day, checker),
    )


def _validate_day(context: StageContext, day: date, checker: ImageChecker) -> DayReport:
    from icg_tasks.intake.suites import item_suite

    store, settings = context.store, context.settings.intake
    raw = read_raw_day(store, ITEMS_RAW, day, max_file_bytes=settings.max_raw_file_bytes)
    columns = parse_day(raw, KINDS)
    keys = image_keys(columns["reference_image"])
    before = checker.decoded
    rules, checked = _judge(context, day, columns, keys, checker)
    found = verdicts(rules, len(keys))
    reasons = write_quarantine(store, QUARANTINE_ITEMS, day, raw=raw, found=found, rules=rules, declared=RAW_ITEMS.names)
    clean = _clean_table(columns, found == 0, keys, checked)
    report = examine_day(
        context,
        day,
        dataset="items",
        quarantine=QUARANTINE_ITEMS,
        raw=raw,
        frame=clean.to_pandas(),
        suite=item_suite(settings, trailing_week(store, ITEMS, day)),
        reasons=reasons,
        charged=charged_rows(found, rules, raw),
        figures={"images_decoded": checker.decoded - before},
    )
    metadata = clean_metadata(raw, RAW_ITEMS.names, reasons)
    write_partition(store, ITEMS, day, [clean], schema=SCHEMA, metadata=metadata)
    context.say(
        f"{day}: {clean.num_rows} of {report.raw_rows} items clean, {checker.decoded - before} images decoded, "
        f"{sum(reasons.values())} in quarantine {reasons or ''}"
    )
    for key, image in checked.items():
        if image.reason:
            context.say(f"{day}: {key}: {image.reason} ({image.detail}); its item stays out")
    return report


def _judge(
    context: StageContext, day: date, columns: Mapping[str, Column], keys: Sequence[str | None], checker: ImageChecker
) -> tuple[list[Rule], Mapping[str, CheckedImage]]:
    """Every rule, in order, and what was found out about the images of rows that the other rules let pass."""
    rules = item_rules(columns, day, context.settings.intake)
    rules.append(duplicate_items(columns, verdicts(rules, len(keys)) == 0))
    candidates = verdicts(rules, len(keys)) == 0
    checker.trusted.update(_known_images(context, day))
    checked = checker.check([key for key, good in zip(keys, candidates, strict=True) if good and key is not None])
    return [*rules, *image_rules(keys, checked)], checked


def _clean_table(
    columns: Mapping[str, Column], good: Bools, keys: Sequence[str | None], checked: Mapping[str, CheckedImage]
) -> pa.Table:
    """Rows of schema ITEMS by item id."""
    mask = pa.array(good)
    texts = {name: columns[name].values.filter(mask) for name in ("item_id", "title", "category", "language")}
    images = [key for key, kept in zip(keys, good, strict=True) if kept and key is not None]
    hashes = [checked[key].sha256 for key in images]
    content = [
        _content_hash(*entry)
        for entry in zip(*(texts[name].to_pylist() for name in ("title", "category", "language")), hashes, strict=True)
    ]
    table = pa.table(
        {
            **texts,
            "reference_image": pa.array(images, pa.string()),
            "updated_at": pa.array(columns["updated_at"].values[good], TIMESTAMP),
            "image_sha256": pa.array(hashes, pa.string()),
            "content_hash": pa.array(content, pa.string()),
        }
    )
    return table.select(SCHEMA.names).sort_by("item_id")


def _content_hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _known_images(context: StageContext, day: date) -> dict[str, str]:
    """Image key → sha256 of the newest clean catalogue before the day: found good then, need not be decoded again."""
    past = latest_partition_before(context.store, ITEMS, day)
    if past is None:
        return {}
    table = read_partition(context.store, ITEMS, past, ["reference_image", "image_sha256"])
    return dict(zip(table.column("reference_image").to_pylist(), table.column("image_sha256").to_pylist(), strict=True))
