"""What each stage may read, write and delete in the bucket, by key prefix. The one place; template.py makes roles of it.

The walls: behind validation nobody reads raw logs, quarantine or requests for erasure; a training writes its own kind of model
alone; only publish-covers and what may take covers away write below covers/v1 (but for blobs); only few may delete, and what.
Names of keys may be listed by all (they hold no user ids). ``{ds}`` is not used: a back-fill writes any date.
"""

from dataclasses import dataclass, field

from icg_tasks.carry import CARRIED
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import stages


@dataclass(frozen=True, kw_only=True)
class Rights:
    """Key prefixes. What may be written may also be read."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()


_QUALITY = (f"{keys.DATA_DOCS}/", f"{keys.QUALITY}/")
_PERSONAL = (keys.ERASURES_RAW, keys.ERASURES, keys.ERASURE_CERTIFICATES)  # of people who asked to be forgotten
_LEARNT_FROM = ("clean/impressions/", "clean/items/", "features/", f"{keys.MODELS}/", f"{keys.IMAGES_RAW}/")
_COVERS = ("covers/",)
_TASTES = tuple(f"{name}/" for name in (keys.ITEM_FACTORS, keys.TASTE_DAYS, keys.TASTE_WINDOWS, keys.TASTES))
_STATES = f"{keys.COVER_STATES}/"  # what the language model said of items: kept by whoever draws
_EVERYWHERE = ("raw/", "clean/", "quarantine/", "features/", "covers/", "reports/", "certificates/")


def _training(kind: str) -> Rights:
    return Rights(reads=(*_LEARNT_FROM, f"{keys.COVER_BLOBS}/"), writes=(f"{keys.MODELS}/{kind}/",))


RIGHTS: dict[str, Rights] = {
    stages.ARRIVED: Rights(reads=(f"{keys.ITEMS_RAW}/", f"{keys.IMPRESSIONS_RAW}/")),
    stages.VALIDATE_ITEMS: Rights(
        reads=(f"{keys.ITEMS_RAW}/", f"{keys.IMAGES_RAW}/", "reports/"),
        writes=(f"{keys.ITEMS}/", f"{keys.QUARANTINE_ITEMS}/", *_QUALITY),
        deletes=(f"{keys.DATA_DOCS}/",),
    ),
    # Forgets users on the way, so it may rewrite whatever holds one.
    stages.VALIDATE_IMPRESSIONS: Rights(
        reads=(f"{keys.IMPRESSIONS_RAW}/", f"{keys.QUARANTINE_ITEMS}/", *_PERSONAL, f"{keys.IMAGES_RAW}/", "reports/"),
        writes=("clean/", "features/", "quarantine/", f"{keys.ERASURE_CERTIFICATES}/", *_QUALITY),
        deletes=("clean/", "features/", "quarantine/", f"{keys.DATA_DOCS}/"),
    ),
    stages.EMBED_ITEMS: Rights(reads=(f"{keys.ITEMS}/", f"{keys.IMAGES_RAW}/"), writes=(f"{keys.ITEM_FEATURES}/",)),
    stages.BUILD_USER_EMBEDDINGS: Rights(
        reads=(f"{keys.IMPRESSIONS}/", "features/"),
        writes=(f"{keys.USER_DAYS}/", f"{keys.USER_WINDOWS}/", f"{keys.USERS}/", *_TASTES),
        deletes=(f"{keys.USER_WINDOWS}/", f"{keys.TASTE_WINDOWS}/"),
    ),
    stages.ASSIGN_SEGMENTS: Rights(
        reads=("clean/impressions/", "clean/items/", "features/"), writes=(f"{keys.SEGMENTS}/", f"{keys.USER_SEGMENTS}/")
    ),
    stages.TRAIN_PREFERENCE: _training("preference"),
    stages.ADAPT_DENOISER: _training("denoiser"),
    stages.TRAIN_ADAPTER: _training("adapter"),
    stages.TRAIN_PIGEON: _training("pigeon"),
    stages.PLAN_COVERS: Rights(
        reads=(*_LEARNT_FROM, *_COVERS, f"{keys.STAGE_RUNS}/"),  # what covers of former days took
        writes=(f"{keys.COVER_PLANS}/", f"{keys.COVER_PLAN_SEGMENTS}/", f"{keys.COVER_SHARDS}/"),
        deletes=(f"{keys.COVER_SHARDS}/", _STATES),
    ),
    stages.GENERATE_COVERS: Rights(
        reads=(*_LEARNT_FROM, *_COVERS),
        writes=(f"{keys.COVER_SHARDS}/", f"{keys.COVER_BLOBS}/", _STATES),
        deletes=(f"{keys.COVER_SHARDS}/", _STATES),
    ),
    stages.PUBLISH_COVERS: Rights(
        reads=(*_LEARNT_FROM, *_COVERS, f"{keys.ERASURES}/", f"{keys.ERASURE_CERTIFICATES}/"),
        writes=("covers/v1/", f"{keys.COVER_FEATURES}/", f"{keys.ERASURE_CERTIFICATES}/"),
        deletes=(f"{keys.COVER_HOLDS}/", f"{keys.COVER_INDEXES}/"),
    ),
    stages.EVALUATE: Rights(reads=(*_LEARNT_FROM, *_COVERS), writes=("reports/", _STATES), deletes=("reports/",)),
    # Tells how many rows were held and why, not which: quarantine's manifests, and nothing raw.
    stages.REPORT: Rights(
        reads=(*_LEARNT_FROM, *_COVERS, f"{keys.STAGE_RUNS}/", "quarantine/"), writes=("reports/",), deletes=("reports/",)
    ),
    stages.ERASE: Rights(reads=_EVERYWHERE, writes=_EVERYWHERE, deletes=_EVERYWHERE),
    stages.HOUSEKEEPING: Rights(
        reads=("covers/", f"{keys.MODELS}/"),
        deletes=(
            "clean/", "features/", "quarantine/", f"{keys.IMPRESSIONS_RAW}/", "reports/", f"{keys.STAGE_RUNS}/", "reuse/",
            f"{CARRIED}/", f"{keys.MODELS}/*/versions/",
        ),
    ),
    stages.COLLECT_COVERS: Rights(
        reads=("covers/",), writes=(f"{keys.COVER_DOOMS}/", f"{keys.COVER_HOLDS}/"), deletes=("covers/",)
    ),
}  # fmt: skip
SPARK = "spark"  # drivers run in Airflow's workers and executors as they please: one role for both stages
SPARK_STAGES = (stages.BUILD_USER_EMBEDDINGS, stages.ASSIGN_SEGMENTS)
READER = "reader"  # the recommender, and whoever shows covers
READER_RIGHTS = Rights(reads=("covers/v1/",))
TAB = "covers-tab"  # Airflow's api-server, which shows reports (dags/icg_plugins)
TAB_RIGHTS = Rights(reads=("reports/", f"{keys.COVER_BLOBS}/"))


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role with everything that is the same for all: its own closing lines, and scratch on its way to another machine."""

    name: str
    stages: tuple[str, ...] = ()
    rights: Rights = field(default_factory=Rights)

    def readable(self) -> list[str]:
        """Prefixes that may be read."""
        return sorted({*self.rights.reads, *self.writable()})

    def writable(self) -> list[str]:
        """Prefixes that may be written."""
        return sorted({*self.rights.writes, *self._own()})

    def deletable(self) -> list[str]:
        """Prefixes whose objects may be deleted."""
        return sorted({*self.rights.deletes, *(prefix for prefix in self._own() if prefix.startswith(CARRIED))})

    def _own(self) -> list[str]:
        own = [(f"{keys.STAGE_RUNS}/ds=*/{stage}", f"{CARRIED}/ds=*/{stage}/") for stage in self.stages]
        return [prefix for prefixes in own for prefix in prefixes]


def roles() -> list[Role]:
    """One role per stage, one for both Spark stages, the reader's and the Covers tab's."""
    own = [Role(name=stage, stages=(stage,), rights=rights) for stage, rights in RIGHTS.items() if stage not in SPARK_STAGES]
    spark = Role(name=SPARK, stages=SPARK_STAGES, rights=_together([RIGHTS[stage] for stage in SPARK_STAGES]))
    return [*own, spark, Role(name=READER, rights=READER_RIGHTS), Role(name=TAB, rights=TAB_RIGHTS)]


def _together(several: list[Rights]) -> Rights:
    return Rights(
        reads=tuple(prefix for rights in several for prefix in rights.reads),
        writes=tuple(prefix for rights in several for prefix in rights.writes),
        deletes=tuple(prefix for rights in several for prefix in rights.deletes),
    )
