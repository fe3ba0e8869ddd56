"""The catalogue as validation sees it: one row per item, every image looked at once, a broken one costs its item only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

import pyarrow as pa

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.schemas import ITEMS, RAW_ITEMS, TIMESTAMP
from icg_tasks.intake.columns import Bools, Kind
from icg_tasks.intake.images import ImageChecker
from icg_tasks.intake.item_rules import CHECKS, KINDS, ItemFacts, image_keys
from icg_tasks.intake.rules import Check, Columns
from icg_tasks.intake.subject import Subject
from icg_tasks.intake.windows import PastDay
from icg_tasks.lake.partitions import latest_partition_before, read_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext


class Items(Subject[ItemFacts]):
    """Images found good once are not decoded again, within a run and from the newest clean catalogue before the day."""

    name: ClassVar[str] = "items"
    raw: ClassVar[str] = keys.ITEMS_RAW
    clean: ClassVar[str] = keys.ITEMS
    quarantine: ClassVar[str] = keys.QUARANTINE_ITEMS
    raw_schema: ClassVar[pa.Schema] = RAW_ITEMS
    schema: ClassVar[pa.Schema] = ITEMS
    kinds: ClassVar[Mapping[str, Kind]] = KINDS

    def __init__(self, store: ObjectStore, settings: IntakeSettings) -> None:
        self._checker = ImageChecker(store=store, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        self._decoded_before = 0

    @property
    def checks(self) -> Sequence[Check[ItemFacts]]:
        """The row rules, in order."""
        return CHECKS

    def facts(self, context: StageContext, day: date, columns: Columns) -> ItemFacts:
        """Image keys of the rows, and the one who looks at images."""
        self._decoded_before = self._checker.decoded
        self._checker.trusted.update(_known_images(context.store, day))
        return ItemFacts(
            day=day,
            settings=context.settings.intake,
            keys=image_keys(columns["reference_image"]),
            check_images=self._checker.check,
        )

    def again(self, _context: StageContext, _day: date, facts: ItemFacts, clean: pa.Table) -> ItemFacts:
        """Items that are clean already stay as they are."""
        taken = frozenset(clean.column("item_id").to_pylist())
        return ItemFacts(day=facts.day, settings=facts.settings, keys=facts.keys, check_images=facts.check_images, taken=taken)

    def order(self) -> list[tuple[str, str]]:
        """By item id."""
        return [("item_id", "ascending")]

    def table(self, columns: Columns, good: Bools, facts: ItemFacts) -> pa.Table:
        """Rows of schema ITEMS by item id."""
        mask = pa.array(good)
        texts = {name: columns[name].values.filter(mask) for name in ("item_id", "title", "category", "language")}
        images = [key for key, kept in zip(facts.keys, good, strict=True) if kept and key is not None]
        checked = facts.check_images(images)
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
        return table.select(ITEMS.names).sort_by(self.order())

    def frame(self, clean: pa.Table, _facts: ItemFacts) -> pa.Table:
        """The clean rows as they are."""
        return clean

    def suite(self, context: StageContext, past: Sequence[PastDay], _rows: int) -> list[Any]:
        """Expectations of a day's clean catalogue."""
        from icg_tasks.intake.suites import item_suite

        return item_suite(context.settings.intake, past)

    def said(self, _facts: ItemFacts) -> dict[str, Any]:
        """How many images had to be decoded for this day."""
        return {"images_decoded": self._checker.decoded - self._decoded_before}

    def remarks(self, facts: ItemFacts) -> list[str]:
        """Every broken image by name."""
        there = dict.fromkeys(key for key in facts.keys if key is not None)
        faults = {key: self._checker.faults[key] for key in there if key in self._checker.faults}
        return [f"{key}: {image.reason} ({image.detail}); its item stays out" for key, image in faults.items()]


def _content_hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _known_images(store: ObjectStore, day: date) -> dict[str, str]:
    """Image key → sha256 of the newest clean catalogue before the day: found good then, need not be decoded again."""
    past = latest_partition_before(store, keys.ITEMS, day)
    if past is None:
        return {}
    table = read_partition(store, keys.ITEMS, past, ["reference_image", "image_sha256"])
    return dict(zip(table.column("reference_image").to_pylist(), table.column("image_sha256").to_pylist(), strict=True))
