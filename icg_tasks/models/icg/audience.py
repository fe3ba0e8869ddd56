"""For whom an adapter learns to draw: segments, single users, mixtures of segments, and nobody special.

Reads features/segments and features/users. Knows no model. Legend: S segments, U users, N drawn, V = 2E user vector.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.holdout import is_held_out_user
from icg_tasks.contracts.partitions import SEGMENTS, USERS
from icg_tasks.lake.partitions import find_partition, read_partition, read_partition_file
from icg_tasks.stage import StageContext

_MOST_USERS = 20_000
_SEGMENT_SHARE, _MIXTURE_SHARE = 0.5, 0.2
_MIXED = 3
_SHORTEST = 0.05
"""Vectors shorter than this stand for nobody special."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Audience:
    """``segments_SV`` in the order of their traffic, most first."""

    segments_SV: Floats
    users_UV: Floats

    def draw(self, count: int, nobody_share: float, rng: np.random.Generator) -> Floats:
        """User vectors [count, V]; zero rows are nobody special.

        Half are segments, a fifth mixtures of segments (weights of either sign, so that tastes nobody has yet are met too),
        the rest single users.
        """
        segments = self.segments_SV
        kind = rng.random(count)
        weights = rng.normal(size=(count, _MIXED, 1)).astype(np.float32)
        mixtures = (weights * segments[rng.integers(len(segments), size=(count, _MIXED))]).sum(axis=1)
        drawn = np.where((kind < _SEGMENT_SHARE)[:, None], segments[rng.integers(len(segments), size=count)], mixtures)
        if len(self.users_UV):
            single = (kind >= _SEGMENT_SHARE + _MIXTURE_SHARE)[:, None]
            drawn = np.where(single, self.users_UV[rng.integers(len(self.users_UV), size=count)], drawn)
        drawn[rng.random(count) < nobody_share] = 0.0
        return np.asarray(drawn, dtype=np.float32)


def read_audience(context: StageContext, width: int) -> Audience:
    """Segments and up to 20,000 users of the run date; raises DataMissing without a segment that differs from nobody."""
    table = read_partition(context.store, SEGMENTS, context.run_date, ["segment_id", "centroid", "expected_traffic"])
    rows = sorted(table.to_pylist(), key=lambda row: (-(row["expected_traffic"] or 0.0), row["segment_id"]))
    segments = _matrix([row["centroid"] for row in rows], width, SEGMENTS)
    segments = segments[np.linalg.norm(segments, axis=1) >= _SHORTEST]
    if not len(segments):
        raise DataMissing(
            f"{SEGMENTS} of {context.run_date} has no segment whose vector differs from zero, so there is nobody to draw for; "
            "look at build-user-embeddings and assign-segments"
        )
    return Audience(segments_SV=segments, users_UV=_users(context, width))


def _users(context: StageContext, width: int) -> Floats:
    partition = find_partition(context.store, USERS, context.run_date)
    vectors: list[list[float]] = []
    for file in partition.files if partition else []:
        table = read_partition_file(context.store, file, ["user_id", "vector", "weight"]).slice(0, 4 * _MOST_USERS)
        vectors += [
            row["vector"]
            for row in table.to_pylist()
            if row["weight"] >= context.settings.features.min_user_weight and not is_held_out_user(row["user_id"])
        ]
        if len(vectors) >= _MOST_USERS:
            break
    return _matrix(vectors[:_MOST_USERS], width, USERS)


def _matrix(vectors: list[list[float]], width: int, where: str) -> Floats:
    if any(len(vector) != width for vector in vectors):
        raise DataCorrupt(f"{where}: vectors are not {width} wide, as today's encoder makes them; re-run the day's features")
    found = np.array(vectors, dtype=np.float32).reshape(len(vectors), width)
    if not np.isfinite(found).all():
        raise DataCorrupt(f"{where}: a vector holds values that are no numbers; re-run the day's features")
    return found
