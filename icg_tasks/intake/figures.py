"""What the manifest of a clean partition says of its rows, from the rows alone: true also when rows leave or come back."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from icg_tasks.contracts.partitions import IMPRESSIONS, QUARANTINE_IMPRESSIONS
from icg_tasks.intake.user_rows import HELD, UserPartition
from icg_tasks.intake.windows import day_start_ms
from icg_tasks.lake.partitions import find_partition
from icg_tasks.lake.store import ObjectStore

Metadata = Callable[[Sequence[pa.Table]], Mapping[str, Any]]


def impression_figures(tables: Sequence[pa.Table], day: date) -> dict[str, Any]:
    """Clicks, their share and rows that came late (schema IMPRESSIONS)."""
    rows = sum(table.num_rows for table in tables)
    clicks = sum(pc.sum(table.column("clicked").cast(pa.int64())).as_py() or 0 for table in tables)
    start = day_start_ms(day)
    late = (pc.sum(pc.less(table.column("shown_at").cast(pa.int64()), start).cast(pa.int64())).as_py() or 0 for table in tables)
    return {"clicks": clicks, "click_rate": round(clicks / max(rows, 1), 6), "late_rows": sum(late)}


def counted(reasons: Sequence[str]) -> dict[str, int]:
    """Rows per reason, most frequent first."""
    return dict(sorted(Counter(reasons).items(), key=lambda entry: (-entry[1], entry[0])))


def metadata_after(store: ObjectStore, found: UserPartition) -> Metadata | None:
    """What a changed partition's manifest will say, None where it says nothing of its rows."""
    former = found.partition.metadata
    if found.column == HELD:
        return lambda tables: former | {"reasons": counted([r for table in tables for r in table.column("reason").to_pylist()])}
    if found.dataset != IMPRESSIONS:
        return None

    def metadata(tables: Sequence[pa.Table]) -> Mapping[str, Any]:
        held = find_partition(store, QUARANTINE_IMPRESSIONS, found.day)
        reasons = former.get("quarantined", {}) if held is None else held.metadata.get("reasons", {})
        gone = found.partition.rows - sum(table.num_rows for table in tables)
        gone += sum(former.get("quarantined", {}).values()) - sum(reasons.values())
        said = former | {"quarantined": reasons, **impression_figures(tables, found.day)}
        return said | {"raw_rows": former["raw_rows"] - gone} if "raw_rows" in former else said

    return metadata
