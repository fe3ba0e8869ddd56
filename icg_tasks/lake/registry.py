"""Model versions and champions. A version is immutable and content-addressed; a champion moves only forward in run dates.

``models/<kind>/versions/<id>/<file>`` with ``card.json`` written last; ``models/<kind>/champions/ds=<date>.json`` says which
version was champion as of that date (so a back-fill finds what that day would have used); ``models/<kind>/champion.json``
is the current one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from icg_tasks.contracts.errors import DataCorrupt, DataMissing, IcgError
from icg_tasks.contracts.partitions import MODELS, parse_partition_date
from icg_tasks.lake.store import ObjectStore

CARD = "card.json"


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One immutable version: its files and its card (metrics, lineage, settings)."""

    kind: str
    version: str
    card: dict[str, Any]

    @property
    def prefix(self) -> str:
        """Key prefix of its files."""
        return f"{MODELS}/{self.kind}/versions/{self.version}"


def publish_version(store: ObjectStore, kind: str, files: Mapping[str, bytes], card: Mapping[str, Any]) -> ModelVersion:
    """Write a version. Its id is the hash of files and card, so the same training writes the same version.

    ``card`` must be JSON and free of clocks. Publishing an existing version changes nothing.
    """
    digest = hashlib.sha256(json.dumps(dict(card), sort_keys=True, allow_nan=False).encode())
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    version = ModelVersion(kind=kind, version=digest.hexdigest()[:16], card=dict(card))
    for name in sorted(files):
        store.put(f"{version.prefix}/{name}", files[name])
    listing = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    body = {"kind": kind, "version": version.version, "files": listing, "card": dict(card)}
    store.put(f"{version.prefix}/{CARD}", json.dumps(body, sort_keys=True, indent=1, allow_nan=False).encode())
    return version


def load_version(store: ObjectStore, kind: str, version: str) -> ModelVersion:
    """The version's card; raises DataMissing."""
    body = json.loads(store.get(f"{MODELS}/{kind}/versions/{version}/{CARD}"))
    return ModelVersion(kind=kind, version=version, card=body["card"])


def fetch_version(store: ObjectStore, version: ModelVersion, folder: Path) -> Path:
    """The version's files in ``folder/<kind>/<version>`` on disk, each checked against the card; returns that folder."""
    body = json.loads(store.get(f"{version.prefix}/{CARD}"))
    target = folder / version.kind / version.version
    for name, sha256 in body["files"].items():
        path = target / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            store.download(f"{version.prefix}/{name}", path)
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                raise DataCorrupt(f"{version.prefix}/{name} is not the file its card lists; restore or retrain the version")
    return target


def set_champion(store: ObjectStore, version: ModelVersion, run_date: date, *, reason: str) -> bool:
    """Record the champion as of a date, and move the current pointer unless a later date holds it. True if it moved."""
    body = json.dumps({"version": version.version, "run_date": run_date.isoformat(), "reason": reason}, sort_keys=True).encode()
    store.put(f"{MODELS}/{version.kind}/champions/ds={run_date.isoformat()}.json", body)
    pointer = f"{MODELS}/{version.kind}/champion.json"
    for _ in range(10):
        found = store.get_with_etag(pointer)
        if found is None:
            if store.put_if_absent(pointer, body):
                return True
        elif json.loads(found[0])["run_date"] > run_date.isoformat():
            return False
        elif store.put_if_match(pointer, body, found[1]):
            return True
    raise IcgError(f"{pointer} kept changing under ten tries to move it; is another run of {run_date} under way?")


def champion_as_of(store: ObjectStore, kind: str, run_date: date, *, strictly_before: bool = False) -> ModelVersion | None:
    """The champion a date would have used: its own decision or the newest earlier one. None where there is none yet.

    ``strictly_before`` leaves the date's own decision out: what a training of that date starts from.
    """
    best: tuple[date, str] | None = None
    for key in store.list(f"{MODELS}/{kind}/champions/ds="):
        day = parse_partition_date(key.removesuffix(".json"))
        if day is None or day > run_date or (strictly_before and day == run_date):
            continue
        if best is None or day > best[0]:
            best = (day, key)
    if best is None:
        return None
    return load_version(store, kind, json.loads(store.get(best[1]))["version"])


def require_champion(store: ObjectStore, kind: str, run_date: date) -> ModelVersion:
    """Like champion_as_of, but raises DataMissing where there is none."""
    found = champion_as_of(store, kind, run_date)
    if found is None:
        raise DataMissing(f"no champion of {kind} as of {run_date} in {store.uri}; run train-{kind} for that date first")
    return found
