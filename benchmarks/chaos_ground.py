"""The ground of chaos.py and backfills.py: a small world, its days lived undisturbed, and how two stores differ.

The reference is lived stage by stage in one process, without Airflow. Nothing to run here.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from benchmarks.chaos_warm import warm_modules
from icg_tasks.contracts.pseudonym import KEY_VARIABLE
from icg_tasks.lake.store import ObjectStore, open_store
from infra.demo.options import REPOSITORY, TOOLS
from infra.demo.s3 import copy_store
from tests.pipeline.conftest import DAY, SMALL_WORK, SMALL_WORLD, SmallWorld

KEY = "a pseudonym key for benchmarks alone"
SETTINGS = (
    *SMALL_WORLD,
    *SMALL_WORK,
    "world.num_users=300",
    "world.impressions_per_day=2000",
    "features.num_segments=3",
    "covers.items_per_segment=3",
    "covers.candidates=1",
    "covers.shard_size=3",
    "evaluation.catalogue_covers=16",
)
LASTING = ("raw/", "clean/", "quarantine/", "features/", "models/", "covers/", "reports/")
"""Everything that a day leaves but what tells of the work itself: closing lines with seconds (runs/)."""
MODULES = "modules.json"
"""In the kept folder: what a warm process imports beforehand (chaos_warm.py)."""
PASSING = ("covers/states/", "covers/v1/holds/")
"""A cache that may be lost at any time, and marks of who reads: they decide nothing."""

_TELLING = re.compile(r"^reports/data_docs/.*\.html$|^reports/ds=[^/]*/index\.html$")
"""Great Expectations' pages (random ids in them) and the day's page (the seconds of each stage)."""


def range_of(first: date, number: int) -> list[date]:
    """That many days in order."""
    return [first + timedelta(days=offset) for offset in range(number)]


def raw_world(keep: Path, first: date, number: int, history: int = 2) -> Path:
    """A folder with the raw logs of these days and of some before; made once and kept."""
    folder = keep / f"raw-{first}-{number}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        last = range_of(first, number)[-1]
        world(folder / "store", folder / "work").done("simulate", last, "--days", str(number + history))
        (folder / "complete").touch()
    return folder / "store"


def code() -> str:
    """Short name of the product's source as it is: other code may leave other bytes."""
    digest = hashlib.sha256()
    for path in sorted([*REPOSITORY.glob("icg_tasks/**/*.py"), *REPOSITORY.glob("spark_jobs/*.py")]):
        digest.update(path.relative_to(REPOSITORY).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def world(store: Path | str, work: Path) -> SmallWorld:
    """The small world in this store; its users' names depend on one fixed key."""
    os.environ |= {KEY_VARIABLE: KEY, "PYSPARK_PYTHON": sys.executable, "GX_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    os.environ["PATH"] = f"{TOOLS}:{os.environ['PATH']}"
    if (TOOLS.parent / "icg-java").exists():
        os.environ["JAVA_HOME"] = str(TOOLS.parent / "icg-java")
    return SmallWorld(str(store), work, SETTINGS)


def reference(keep: Path, days: Sequence[date], until: float = float("inf")) -> dict[str, str] | None:
    """What the days leave when lived one after the other; lived once and kept, day by day. None: not done ``until`` then."""
    folder = keep / f"reference-{days[0]}-{len(days)}-{code()}"
    store = folder / "store"
    if not (folder / "begun").exists():
        shutil.rmtree(folder, ignore_errors=True)
        copy_store(str(raw_world(keep, days[0], len(days))), str(store))
        (folder / "begun").touch()
    for day in days:
        if time.monotonic() > until:
            return None
        if not (folder / f"lived-{day}").exists():
            world(store, folder / "work").whole_day(day)
            (folder / f"lived-{day}").touch()
            write_json(keep / MODULES, warm_modules())
    return contents(open_store(str(store)))


def contents(store: ObjectStore) -> dict[str, str]:
    """Hash of every lasting object; of pages that tell seconds or carry random ids, that they are there."""
    keys = [key for key in store.list("") if key.startswith(LASTING) and not key.startswith(PASSING)]
    return {key: "there" if _TELLING.search(key) else hashlib.sha256(store.get(key)).hexdigest() for key in keys}


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What is missing, too much, or has other bytes."""
    return [
        *(f"missing {key}" for key in sorted(wanted.keys() - found.keys())),
        *(f"too much {key}" for key in sorted(found.keys() - wanted.keys())),
        *(f"other bytes in {key}" for key in sorted(wanted.keys() & found.keys()) if wanted[key] != found[key]),
    ]


def write_json(path: Path, body: object) -> None:
    """Replace a small file whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(body, indent=1))
    part.replace(path)


__all__ = ["DAY", "KEY", "SETTINGS", "contents", "differences", "range_of", "raw_world", "reference", "world", "write_json"]
