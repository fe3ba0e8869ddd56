"""Whose covers the users of a segment see where their own has none: those of the segment most like it, if it is like enough.

Off by default (``covers.parent_distance`` 0): then only everybody's unpersonalised covers stand behind a segment's own.
Knows centroids; no cover's content. Legend: S segments, P segments with covers, V width of a user vector.
"""

import numpy as np
import pyarrow as pa

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.lake.partitions import read_partition
from icg_tasks.stage import StageContext


def segment_parents(context: StageContext, covers: pa.Table) -> dict[str, str]:
    """Segment to parent: the segment with covers, another one than itself, at the least cosine distance, if that is at most
    ``covers.parent_distance`` (0 to 2). Raises SettingsError outside that."""
    most = context.settings.covers.parent_distance
    if not 0.0 <= most <= 2.0:
        raise SettingsError(f"covers.parent_distance is {most}; expected a cosine distance from 0 (no parents) to 2")
    if most == 0.0:
        return {}
    table = read_partition(context.store, keys.SEGMENTS, context.run_date, ["segment_id", "centroid"]).sort_by("segment_id")
    names: list[str] = table["segment_id"].to_pylist()
    with_covers = set(covers["segment_id"].unique().to_pylist()) - {EVERYONE}
    chosen = [number for number, name in enumerate(names) if name in with_covers]
    if not chosen:
        return {}
    centroids_SV = np.asarray(table["centroid"].to_pylist(), dtype=np.float64)
    lengths_S = np.linalg.norm(centroids_SV, axis=1, keepdims=True)
    unit_SV = np.divide(centroids_SV, lengths_S, out=np.zeros_like(centroids_SV), where=lengths_S > 0)
    distances_SP = 1.0 - unit_SV @ unit_SV[chosen].T
    for column, number in enumerate(chosen):
        distances_SP[number, column] = np.inf
    nearest_S = distances_SP.argmin(axis=1)
    found = {}
    for number, name in enumerate(names):
        if lengths_S[number, 0] > 0 and distances_SP[number, nearest_S[number]] <= most:
            found[name] = names[chosen[int(nearest_S[number])]]
    return found
