"""From a sample of users to the centres that Spark applies to everybody, and how many there are. Runs on the driver.

Knows the sample and the settings; of the store only where the sample's users were yesterday. Legend: N users of the sample,
I items, V vector width.
"""

from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icg_tasks.config.features import FeatureSettings
from icg_tasks.contracts.partitions import USER_SEGMENTS
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.features.clustering import Floats, Ints, k_means, taste_space
from icg_tasks.features.segment_count import chosen_count, parsed_counts, strengths
from icg_tasks.features.segments import Grouping
from icg_tasks.lake.partitions import find_partition, latest_partition_before, read_partition_file
from icg_tasks.lake.store import ObjectStore

_SLACK = 0.05
"""By how much less than asked yesterday's count may agree and still stay."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Users as they are compared: vectors [N, V], weights [N], yesterday's group (-1: none), and vectors of items [I, V]."""

    vectors_NV: NDArray[np.float32]
    weight_N: Floats
    former_N: Ints | None
    items_IV: NDArray[np.float32]
    prior_weight: float


def find_grouping(sample: Sample, most: int, settings: FeatureSettings) -> tuple[Grouping, dict[int, float]]:
    """Centres of at most ``most`` groups, and the agreement of each count that was tried (none where the count is given)."""
    width = sample.vectors_NV.shape[1]
    space = taste_space(
        sample.items_IV,
        sample.vectors_NV,
        sample.weight_N,
        prior_weight=sample.prior_weight,
        dimensions=min(settings.kmeans_dimensions, width),
    )
    points_ND = space.points(sample.vectors_NV, sample.weight_N)
    search = partial(
        k_means, seed=settings.kmeans_seed, starts=settings.kmeans_starts, max_iterations=settings.kmeans_max_iterations
    )
    count, found = min(settings.num_segments, most), {}
    counts = sorted({min(candidate, most) for candidate in parsed_counts(settings.segment_counts)})
    if counts:
        found = strengths(points_ND, sample.weight_N, counts, search, settings.kmeans_seed)
        former = None if sample.former_N is None else len(np.unique(sample.former_N[sample.former_N >= 0]))
        count = chosen_count(found, settings.min_segment_agreement, former, _SLACK)
    centres_KD = search(points_ND, sample.weight_N, count, former_N=sample.former_N)
    return Grouping(space=space, centres_KD=centres_KD, min_weight=settings.min_user_weight), found


def former_groups(store: ObjectStore, run_date: date, users: pa.StringArray) -> Ints | None:
    """The former segment of each of these users as a number, -1 without one; None where there are no former segments.

    Of the former members only those asked for are kept, a file at a time.
    """
    day = latest_partition_before(store, USER_SEGMENTS, run_date)
    partition = find_partition(store, USER_SEGMENTS, day) if day is not None else None
    if partition is None:
        return None
    tables = []
    for file in partition.files:
        table = read_partition_file(store, file, ["user_id", "segment_id"])
        wanted = pc.and_(pc.is_in(table["user_id"], value_set=users), pc.not_equal(table["segment_id"], EVERYONE))
        tables.append(table.filter(wanted))
    found = pa.concat_tables(tables).combine_chunks()
    names = pa.array(sorted(set(found["segment_id"].to_pylist())), pa.string())
    number_F = pc.index_in(found["segment_id"], value_set=names).to_numpy().astype(np.int64)
    place_N = pc.index_in(users, value_set=found["user_id"].combine_chunks()).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(number_F, -1)[place_N], dtype=np.int64)
