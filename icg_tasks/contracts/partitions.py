"""Keys of everything in the object store. A key is a slash-separated path below the store's root, never absolute."""

import re
from datetime import date

from icg_tasks.contracts.errors import DataCorrupt

IMPRESSIONS_RAW = "raw/impressions"
ITEMS_RAW = "raw/items"
IMAGES_RAW = "raw/images"
ERASURES_RAW = "raw/erasures"
IMPRESSIONS = "clean/impressions"
ITEMS = "clean/items"
ERASURES = "clean/erasures"
QUARANTINE_IMPRESSIONS = "quarantine/impressions"
QUARANTINE_ITEMS = "quarantine/items"
ITEM_FEATURES = "features/items"
COVER_FEATURES = "features/covers"
USER_DAYS = "features/user_days"
USER_WINDOWS = "features/user_windows"
USERS = "features/users"
ITEM_FACTORS = "features/item_factors"
TASTE_DAYS = "features/user_taste_days"
TASTE_WINDOWS = "features/user_taste_windows"
TASTES = "features/user_tastes"
SEGMENTS = "features/segments"
USER_SEGMENTS = "features/user_segments"
COVER_PLANS = "covers/plans"
COVER_PLAN_SEGMENTS = "covers/plan_segments"
COVER_SHARDS = "covers/shards"
COVER_STATES = "covers/states"
COVER_BLOBS = "covers/v1/blobs"
COVER_MANIFESTS = "covers/v1/manifests"
COVER_INDEXES = "covers/v1/indexes"
COVER_HISTORY = "covers/v1/history"
COVER_HOLDS = "covers/v1/holds"
COVER_DOOMS = "covers/v1/dooms"
COVERS_CURRENT = "covers/v1/current.json"
MODELS = "models"
REPORTS = "reports"
DATA_DOCS = "reports/data_docs"
QUALITY = "reports/quality"
ERASURE_CERTIFICATES = "certificates/erasures"
STAGE_RUNS = "runs"

PARTITION_MANIFEST = "_manifest.json"
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_SAFE_KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._=+@-]*(/[A-Za-z0-9_][A-Za-z0-9._=+@-]*)*$")


def partition_prefix(dataset: str, run_date: date) -> str:
    """Prefix of one day's partition, without a trailing slash.

    >>> partition_prefix("clean/items", date(2026, 3, 1))
    'clean/items/ds=2026-03-01'
    """
    return f"{dataset}/ds={run_date.isoformat()}"


def parse_partition_date(key: str) -> date | None:
    """The date in a key's ``ds=`` part, or None where it has none.

    >>> parse_partition_date("clean/items/ds=2026-03-01/_manifest.json")
    datetime.date(2026, 3, 1)
    """
    for part in key.split("/"):
        if part.startswith("ds=") and _DATE.fullmatch(part[3:]):
            try:
                return date.fromisoformat(part[3:])
            except ValueError:  # a 31st of February
                return None
    return None


def checked_key(key: str) -> str:
    """The key itself if it is safe to use below a store's root; raises DataCorrupt for traversal or odd characters."""
    if len(key) > 512 or ".." in key.split("/") or not _SAFE_KEY.fullmatch(key):
        raise DataCorrupt(f"unsafe object key {key!r}: expected letters, digits and ._=+@- between single slashes")
    return key


def reference_image_key(reference_image: str) -> str:
    """Store key of an item's reference image; takes a key with or without the leading ``raw/images/``. Raises DataCorrupt.

    >>> reference_image_key("covers/5.jpg") == reference_image_key("raw/images/covers/5.jpg") == "raw/images/covers/5.jpg"
    True
    """
    return checked_key(f"{IMAGES_RAW}/{reference_image.removeprefix(IMAGES_RAW + '/')}")


def stage_run_key(stage: str, run_date: date, part: str = "") -> str:
    """Where a stage's closing line is kept for the report; ``part`` tells mapped tasks apart.

    >>> stage_run_key("plan-covers", date(2026, 3, 1))
    'runs/ds=2026-03-01/plan-covers.json'
    """
    return f"{STAGE_RUNS}/ds={run_date.isoformat()}/{stage}{'-' + part if part else ''}.json"


def blob_key(content_hash: str, suffix: str = "webp") -> str:
    """Content-addressed key of a cover image; fans out over 256 prefixes."""
    return f"{COVER_BLOBS}/{content_hash[:2]}/{content_hash}.{suffix}"
