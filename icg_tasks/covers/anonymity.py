"""Which segments are too small to be seen: of fewer than ``privacy.min_published_users`` users.

So few could be told apart by their covers. They get no covers of their own, their users are nobody special to readers, and the
report leaves them out. Knows sizes only.
"""

import pyarrow as pa
import pyarrow.compute as pc

from icg_tasks.contracts import partitions as keys
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.stage import StageContext


def small_segments(context: StageContext) -> frozenset[str]:
    """Segments of the run date with fewer users than may be seen; empty where there are no segments at all."""
    if find_partition(context.store, keys.SEGMENTS, context.run_date) is None:
        return frozenset()
    table = read_partition(context.store, keys.SEGMENTS, context.run_date, ["segment_id", "size"])
    small = table.filter(pc.less(table.column("size"), context.settings.privacy.min_published_users))
    return frozenset(small.column("segment_id").to_pylist())


def without(table: pa.Table, segments: frozenset[str]) -> pa.Table:
    """Rows of other segments than these."""
    if not segments:
        return table
    return table.filter(pc.invert(pc.is_in(table.column("segment_id"), value_set=pa.array(sorted(segments), pa.string()))))
