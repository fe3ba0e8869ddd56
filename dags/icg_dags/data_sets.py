"""Which data sets every stage reads and writes: the edges of the graph that lineage events draw.

``tests/pipeline/test_small_day.py`` holds it against what the stages of a small day really read and write. Knows contracts
alone; imported when a task runs, not when a Dag is parsed (schemas need pyarrow).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas, stages


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One data set, as a stage sees it. ``rows``: the count of the closing line that tells how many of its rows.

    ``by_day``: the run date's partition is meant; else the data set as a whole (earlier days too, or no partitions at all).
    ``sometimes``: on many days there is nothing of it to read or to write.
    """

    name: str
    by_day: bool = True
    rows: str = ""
    sometimes: bool = False


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What one stage reads and writes. What it writes it may read, too (its own of earlier days, or of a former try)."""

    reads: tuple[DataSet, ...]
    writes: tuple[DataSet, ...] = ()


def _day(name: str, rows: str = "", *, sometimes: bool = False) -> DataSet:
    return DataSet(name=name, rows=rows, sometimes=sometimes)


def _whole(name: str, *, sometimes: bool = False) -> DataSet:
    return DataSet(name=name, by_day=False, sometimes=sometimes)


def _model(kind: str, *, sometimes: bool = False) -> DataSet:
    return _whole(f"{keys.MODELS}/{kind}", sometimes=sometimes)


_IMAGES = _whole(keys.IMAGES_RAW)
_HISTORY = (_whole(keys.IMPRESSIONS), _whole(keys.ITEM_FEATURES), _whole(keys.COVER_FEATURES, sometimes=True))
_BY_TASTE = (_whole(keys.ITEM_FACTORS, sometimes=True), _day(keys.TASTES, sometimes=True))
_DRAWN_FOR = (_day(keys.ITEMS), _IMAGES, _day(keys.SEGMENTS))
_ICG = (_model("preference"), _model("adapter", sometimes=True), _model("denoiser", sometimes=True))
_DRAWN_BY = (*_ICG, _model("pigeon", sometimes=True))
_STATES = _whole(keys.COVER_STATES, sometimes=True)
_QUALITY = (_day(keys.DATA_DOCS), _whole(keys.QUALITY))

FLOWS: dict[str, Flow] = {
    stages.ARRIVED: Flow(reads=(_day(keys.ITEMS_RAW), _day(keys.IMPRESSIONS_RAW))),
    stages.VALIDATE_ITEMS: Flow(
        reads=(_day(keys.ITEMS_RAW, rows="raw_rows"), _IMAGES),
        writes=(_day(keys.ITEMS, rows="clean_rows"), _day(keys.QUARANTINE_ITEMS, rows="quarantined_rows"), *_QUALITY),
    ),
    stages.VALIDATE_IMPRESSIONS: Flow(
        reads=(
            _day(keys.IMPRESSIONS_RAW, rows="raw_rows"), _day(keys.ITEMS), _day(keys.QUARANTINE_ITEMS, sometimes=True),
            _whole(keys.ERASURES_RAW, sometimes=True),
        ),
        writes=(
            _day(keys.IMPRESSIONS, rows="clean_rows"), _day(keys.QUARANTINE_IMPRESSIONS, rows="quarantined_rows"), *_QUALITY,
            _day(keys.ERASURES, sometimes=True), _whole(keys.ERASURE_CERTIFICATES, sometimes=True),
        ),
    ),
    stages.EMBED_ITEMS: Flow(reads=(_day(keys.ITEMS), _IMAGES), writes=(_day(keys.ITEM_FEATURES, rows="rows"),)),
    stages.BUILD_USER_EMBEDDINGS: Flow(
        reads=_HISTORY,
        writes=(
            _day(keys.USER_DAYS), _day(keys.USER_WINDOWS, sometimes=True), _day(keys.USERS, rows="users"), *_BY_TASTE,
            _day(keys.TASTE_DAYS, sometimes=True), _day(keys.TASTE_WINDOWS, sometimes=True),
        ),
    ),
    stages.ASSIGN_SEGMENTS: Flow(
        reads=(_day(keys.USERS), _day(keys.ITEM_FEATURES), _whole(keys.IMPRESSIONS), _day(keys.ITEMS), *_BY_TASTE),
        writes=(_day(keys.SEGMENTS, rows="segments"), _day(keys.USER_SEGMENTS, rows="users")),
    ),
    stages.TRAIN_PREFERENCE: Flow(
        reads=(*_HISTORY, _whole(keys.USER_DAYS), _day(keys.USERS)), writes=(_model("preference"),)
    ),
    stages.ADAPT_DENOISER: Flow(
        reads=(_day(keys.ITEMS, sometimes=True), _whole(keys.IMAGES_RAW, sometimes=True), _model("adapter", sometimes=True)),
        writes=(_model("denoiser", sometimes=True),),
    ),
    stages.TRAIN_ADAPTER: Flow(
        reads=(
            *_DRAWN_FOR, _day(keys.ITEM_FEATURES), _day(keys.USERS), _model("preference"), _model("denoiser", sometimes=True),
        ),
        writes=(_model("adapter"),),
    ),
    stages.TRAIN_PIGEON: Flow(
        reads=(_day(keys.ITEMS), _IMAGES, _whole(keys.IMPRESSIONS), _whole(keys.COVER_BLOBS, sometimes=True)),
        writes=(_model("pigeon"),),
    ),
    stages.PLAN_COVERS: Flow(
        reads=(
            _day(keys.ITEMS), _day(keys.SEGMENTS), _day(keys.ITEM_FEATURES), *_DRAWN_BY,
            _whole(keys.COVER_MANIFESTS, sometimes=True), _whole(keys.STAGE_RUNS, sometimes=True),
        ),
        writes=(_day(keys.COVER_PLANS, rows="planned"), _day(keys.COVER_PLAN_SEGMENTS)),
    ),
    stages.GENERATE_COVERS: Flow(
        reads=(_day(keys.COVER_PLANS), _day(keys.COVER_PLAN_SEGMENTS), _day(keys.ITEMS), _IMAGES, *_DRAWN_BY),
        writes=(_day(keys.COVER_SHARDS), _whole(keys.COVER_BLOBS), _STATES),
    ),
    stages.PUBLISH_COVERS: Flow(
        reads=(
            _day(keys.COVER_PLANS), _day(keys.COVER_SHARDS), _whole(keys.COVER_BLOBS), _day(keys.SEGMENTS),
            _day(keys.USER_SEGMENTS),
        ),
        writes=(
            _day(keys.COVER_MANIFESTS, rows="published"), _day(keys.COVER_FEATURES), _day(keys.COVER_INDEXES),
            _whole(keys.COVER_HISTORY, sometimes=True), _whole(keys.COVERS_CURRENT),
        ),
    ),
    stages.EVALUATE: Flow(reads=(*_DRAWN_FOR, _day(keys.USER_SEGMENTS), *_DRAWN_BY), writes=(_day(keys.REPORTS), _STATES)),
    stages.REPORT: Flow(
        reads=(
            *_DRAWN_FOR, *_DRAWN_BY, _whole(keys.IMPRESSIONS), _day(keys.COVER_MANIFESTS), _whole(keys.COVER_BLOBS),
            _day(keys.QUARANTINE_IMPRESSIONS), _day(keys.QUARANTINE_ITEMS), _whole(keys.QUALITY), _day(keys.STAGE_RUNS),
        ),
        writes=(_day(keys.REPORTS),),
    ),
    stages.ERASE: Flow(reads=(_whole(keys.ERASURES_RAW),), writes=(_whole(keys.ERASURE_CERTIFICATES),)),
    stages.HOUSEKEEPING: Flow(reads=(_whole(keys.COVER_MANIFESTS),)),
    stages.COLLECT_COVERS: Flow(reads=(_whole(keys.COVER_MANIFESTS),), writes=(_whole(keys.COVER_DOOMS),)),
}  # fmt: skip

SCHEMAS: dict[str, Any] = {
    keys.IMPRESSIONS_RAW: schemas.RAW_IMPRESSIONS,
    keys.ITEMS_RAW: schemas.RAW_ITEMS,
    keys.ERASURES_RAW: schemas.RAW_ERASURES,
    keys.IMPRESSIONS: schemas.IMPRESSIONS,
    keys.ITEMS: schemas.ITEMS,
    keys.ERASURES: schemas.ERASURES,
    keys.QUARANTINE_IMPRESSIONS: schemas.QUARANTINE,
    keys.QUARANTINE_ITEMS: schemas.QUARANTINE,
    keys.ITEM_FEATURES: schemas.ITEM_FEATURES,
    keys.ITEM_FACTORS: schemas.ITEM_FEATURES,
    keys.TASTE_DAYS: schemas.USER_DAYS,
    keys.TASTE_WINDOWS: schemas.USER_WINDOWS,
    keys.TASTES: schemas.USERS,
    keys.COVER_FEATURES: schemas.COVER_FEATURES,
    keys.USER_DAYS: schemas.USER_DAYS,
    keys.USER_WINDOWS: schemas.USER_WINDOWS,
    keys.USERS: schemas.USERS,
    keys.SEGMENTS: schemas.SEGMENTS,
    keys.USER_SEGMENTS: schemas.USER_SEGMENTS,
    keys.COVER_PLANS: schemas.COVER_PLAN,
    keys.COVER_PLAN_SEGMENTS: schemas.COVER_PLAN_SEGMENTS,
    keys.COVER_SHARDS: schemas.COVER_SHARD,
    keys.COVER_MANIFESTS: schemas.COVER_MANIFEST,
}


def data_set_of(key: str, names: Iterable[str]) -> str | None:
    """Which of these data sets an object or a partition belongs to: the longest name above its ``ds=``.

    >>> data_set_of("covers/shards/0003/ds=2026-03-10/part.parquet", ["covers/shards", "covers/v1/blobs"])
    'covers/shards'
    >>> data_set_of("reports/data_docs/ds=2026-03-10/items/index.html", ["reports", "reports/data_docs"])
    'reports/data_docs'
    >>> data_set_of("runs/ds=2026-03-10/report.json", ["reports"])
    """
    place = key.partition("/ds=")[0]
    return max((name for name in names if place == name or place.startswith(f"{name}/")), key=len, default=None)
