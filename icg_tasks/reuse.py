"""Whether a stage may be skipped since all that it reads is as it was when it last ran. Only where ICG_REUSE is set (the demo).

The state of a stage's world is one hash: settings, code, shipped checkpoints, and the manifests of every partition that it may
read or write (of earlier days, and of its own day what comes before it). It is taken after a run; if the next run of that date
finds the same state, the stage's closing line still holds and is given again. Knows no stage from inside.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import stages as names
from icg_tasks.contracts.pseudonym import KEY_VARIABLE
from icg_tasks.stage import StageContext

VARIABLE = "ICG_REUSE"
# Stages that always run: what they read or write is more than partitions, or (generate-covers) they keep what is made already.
ALWAYS_RUN = frozenset(
    {names.VALIDATE_ITEMS, names.PLAN_COVERS, names.GENERATE_COVERS, names.PUBLISH_COVERS, names.REPORT, "ingest"}
)
_PLANNED = names.DAY_IN_ORDER.index(names.PLAN_COVERS)
_ORDER = ("simulate", *names.DAY_IN_ORDER[:_PLANNED], names.TRAIN_PIGEON, *names.DAY_IN_ORDER[_PLANNED:])
_WRITTEN_BY = {
    "raw/": "simulate",
    keys.ITEMS: names.VALIDATE_ITEMS,
    keys.QUARANTINE_ITEMS: names.VALIDATE_ITEMS,
    keys.IMPRESSIONS: names.VALIDATE_IMPRESSIONS,
    keys.QUARANTINE_IMPRESSIONS: names.VALIDATE_IMPRESSIONS,
    keys.ERASURES: names.VALIDATE_IMPRESSIONS,
    keys.ITEM_FEATURES: names.EMBED_ITEMS,
    keys.USER_DAYS: names.BUILD_USER_EMBEDDINGS,
    keys.USER_WINDOWS: names.BUILD_USER_EMBEDDINGS,
    keys.USERS: names.BUILD_USER_EMBEDDINGS,
    **dict.fromkeys((keys.ITEM_FACTORS, keys.TASTE_DAYS, keys.TASTE_WINDOWS, keys.TASTES), names.BUILD_USER_EMBEDDINGS),
    keys.SEGMENTS: names.ASSIGN_SEGMENTS,
    keys.USER_SEGMENTS: names.ASSIGN_SEGMENTS,
    f"{keys.MODELS}/preference": names.TRAIN_PREFERENCE,
    f"{keys.MODELS}/denoiser": names.ADAPT_DENOISER,
    f"{keys.MODELS}/adapter": names.TRAIN_ADAPTER,
    f"{keys.MODELS}/pigeon": names.TRAIN_PIGEON,
    keys.COVER_PLANS: names.PLAN_COVERS,
    keys.COVER_PLAN_SEGMENTS: names.PLAN_COVERS,
    keys.COVER_SHARDS: names.GENERATE_COVERS,
    keys.COVER_MANIFESTS: names.PUBLISH_COVERS,
    keys.COVER_FEATURES: names.PUBLISH_COVERS,
}
# Where manifests and champions lie: everything but blobs, model files and reports.
_PREFIXES = (
    "raw/",
    "clean/",
    "quarantine/",
    "features/",
    "covers/plan",
    "covers/shards",
    "covers/v1/manifests",
    f"{keys.MODELS}/",
)
# Partitions of earlier days that a run may write too: no state of the stages before the writer.
_CATCH_UP = frozenset(
    {
        keys.IMPRESSIONS,
        keys.QUARANTINE_IMPRESSIONS,
        keys.ITEMS,
        keys.QUARANTINE_ITEMS,
        keys.USER_DAYS,
        keys.ITEM_FACTORS,
        keys.TASTE_DAYS,
    }
)


def may_reuse(stage: str, environ: Mapping[str, str]) -> bool:
    """Whether this stage is ever skipped under this environment."""
    return bool(environ.get(VARIABLE)) and stage in _ORDER and stage not in ALWAYS_RUN


def find_reusable(context: StageContext, part: str) -> str | None:
    """The closing line of the former run, if the state is the same and its outputs are still there; else None."""
    found = context.store.get_with_etag(_record_key(context, part))
    if found is None:
        return None
    record = json.loads(found[0])
    if record["state"] != state_of(context):
        return None
    outputs = json.loads(record["line"])["outputs"]
    if not all(context.store.exists(key) or any(True for _ in context.store.list(f"{key}/")) for key in outputs):
        return None
    return str(record["line"])


def remember(context: StageContext, part: str, line: str) -> None:
    """Keep the closing line with the state after the run."""
    context.store.put(_record_key(context, part), json.dumps({"state": state_of(context), "line": line}).encode())


def state_of(context: StageContext) -> str:
    """The hash described at the top of this module."""
    settings = asdict(context.settings) | {"store": "", "work_folder": ""}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(json.dumps({name: str(value) for name, value in context.arguments.items()}, sort_keys=True).encode())
    digest.update(os.environ.get(KEY_VARIABLE, "").encode())
    digest.update(_code_hash())
    for prefix in _PREFIXES:
        for key in context.store.list(prefix):
            if is_state(key, context.stage, context.run_date):
                digest.update(key.encode() + b"\0" + context.store.get(key))
    return digest.hexdigest()


def is_state(key: str, stage: str, run_date: date) -> bool:
    """Whether an object of the store belongs to the state of a stage: a manifest or champion of a day it could read or writes.

    >>> is_state("clean/items/ds=2026-03-09/_manifest.json", "embed-items", date(2026, 3, 10))
    True
    >>> is_state("covers/plans/ds=2026-03-10/_manifest.json", "embed-items", date(2026, 3, 10))
    False
    >>> champion = "models/pigeon/champions/ds=2026-03-10.json"
    >>> [is_state(champion, stage, date(2026, 3, 10)) for stage in ("train-adapter", "train-pigeon", "evaluate")]
    [False, True, True]
    """
    if key.startswith(f"{keys.ERASURES_RAW}/"):  # as the platform writes them, and whatever their date
        return True
    if not (key.endswith(f"/{keys.PARTITION_MANIFEST}") or "/champions/ds=" in key):
        return False
    day = keys.parse_partition_date(key.removesuffix(".json"))
    if day is None or day > run_date:
        return False
    dataset = key.partition("/ds=")[0].removesuffix("/champions")
    writer = next((writer for prefix, writer in _WRITTEN_BY.items() if dataset.startswith(prefix)), _ORDER[0])
    if _ORDER.index(writer) <= _ORDER.index(stage):
        return True
    return day < run_date and dataset not in _CATCH_UP


def _record_key(context: StageContext, part: str) -> str:
    return f"reuse/ds={context.run_date.isoformat()}/{context.stage}{'-' + part if part else ''}.json"


def _code_hash() -> bytes:
    """Of the product's source, and of the names and sizes of the shipped checkpoints."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted([*root.glob("icg_tasks/**/*.py"), *root.glob("spark_jobs/*.py")]):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    for path in sorted(root.glob("zoo/*/**/*.safetensors")):
        digest.update(f"{path.relative_to(root)} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return digest.digest()
