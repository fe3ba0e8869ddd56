"""Each malformed kind of item has its reason; a path out of the data is never followed."""

from datetime import date

import pyarrow as pa
import pytest

from icg_tasks.config.intake import IntakeSettings
from icg_tasks.intake.columns import parse_table
from icg_tasks.intake.images import FAULTS, CheckedImage
from icg_tasks.intake.item_rules import CHECKS, KINDS, ItemFacts, image_keys
from icg_tasks.intake.rules import judge

DAY = date(2026, 3, 10)


def judged(frame, faults: dict[str, str] | None = None, taken: frozenset[str] = frozenset()) -> list[str]:
    columns = parse_table(pa.Table.from_pandas(frame, preserve_index=False), KINDS)
    facts = ItemFacts(
        day=DAY,
        settings=IntakeSettings(),
        keys=image_keys(columns["reference_image"]),
        check_images=lambda keys: {key: CheckedImage(sha256="0", reason=(faults or {}).get(key, "")) for key in keys},
        taken=taken,
    )
    return [CHECKS[code - 1].reason if code else "" for code in judge(CHECKS, columns, facts).tolist()]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("item_id", None, "missing_item_id"),
        ("item_id", "has space", "item_id_pattern"),
        ("item_id", "../x", "item_id_pattern"),
        ("title", None, "missing_title"),
        ("title", "", "title_length"),
        ("title", " \u00a0\u200b ", "title_length"),
        ("title", "bell\x07", "title_length"),
        ("title", "x" * 301, "title_length"),
        ("title", "x" * 300, ""),
        ("title", "Les Misérables — 悲惨世界", ""),
        ("category", None, "missing_category"),
        ("category", "", "category_pattern"),
        ("category", "x" * 65, "category_pattern"),
        ("category", "Children’s", ""),
        ("language", "English", "language_pattern"),
        ("language", "en-GB", ""),
        ("updated_at", "last week", "malformed_updated_at"),
        ("updated_at", "2026-03-11T00:00:00Z", "updated_in_the_future"),
        ("updated_at", "2026-03-10T23:00:00Z", ""),
        ("reference_image", None, "missing_reference_image"),
        ("reference_image", "../../../etc/passwd", "reference_image_unsafe"),
        ("reference_image", "covers/../../secret.png", "reference_image_unsafe"),
        ("reference_image", "/etc/passwd", "reference_image_unsafe"),
        ("reference_image", "s3://bucket/x.png", "reference_image_unsafe"),
        ("reference_image", "covers\\x.png", "reference_image_unsafe"),
        ("reference_image", "covers/x.png\n", "reference_image_unsafe"),
        ("reference_image", "raw/images/../items/x", "reference_image_unsafe"),
        ("reference_image", f"covers/{'x' * 201}.png", "reference_image_unsafe"),
        ("reference_image", "", "reference_image_unsafe"),
        ("reference_image", "raw/images/covers/005.png", ""),
    ],
)
def test_each_kind_has_its_reason(platform, column, value, reason):
    frame = platform.item_frame()
    frame.loc[5, column] = value
    found = judged(frame)
    assert found[5] == reason
    assert found[:5] + found[6:] == [""] * 29


def test_of_one_id_the_newest_row_stays(platform):
    frame = platform.item_frame()
    frame.loc[[3, 4, 5], "item_id"] = "same"
    frame["updated_at"] = "2026-03-01T00:00:00Z"
    frame.loc[4, "updated_at"] = "2026-03-02T00:00:00Z"
    found = judged(frame)
    assert [found[3], found[4], found[5]] == ["duplicate_item_id", "", "duplicate_item_id"]


def test_image_keys_are_whole_store_keys():
    columns = parse_table(pa.table({"reference_image": ["a/b.png", "raw/images/a/b.png", "../x", None]}), KINDS)
    assert image_keys(columns["reference_image"]) == ["raw/images/a/b.png", "raw/images/a/b.png", None, None]


def test_a_broken_image_costs_the_rows_that_use_it(platform):
    frame = platform.item_frame().head(4)
    frame["reference_image"] = ["a", "b", "../x", "b"]
    found = judged(frame, {"raw/images/b": "image_truncated"})
    assert found == ["", "image_truncated", "reference_image_unsafe", "image_truncated"]


def test_an_item_that_is_clean_already_is_not_let_in_twice(platform):
    found = judged(platform.item_frame().head(3), taken=frozenset({"item-001"}))
    assert found == ["", "duplicate_item_id", ""]


def test_every_fault_an_image_can_have_is_a_rule():
    assert set(FAULTS) <= {check.reason for check in CHECKS}
    assert len({check.reason for check in CHECKS}) == len(CHECKS)
