"""What decides a training: the bytes it starts from and a body of everything else, as one hash; and the data that it read.

So that a checkpoint of other inputs is never taken up, and a model card names its data. Knows partitions; no model.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import torch

from icg_tasks.lake.partitions import find_partition
from icg_tasks.lake.store import ObjectStore


def lineage(store: ObjectStore, wanted: Iterable[tuple[str, date]]) -> list[dict[str, Any]]:
    """The named partitions that are there, with rows and the hashes of their files."""
    found = [find_partition(store, name, day) for name, day in wanted]
    return [{"dataset": part.dataset, "rows": part.rows, "files": [f.sha256 for f in part.files]} for part in found if part]


def training_identity(start: Mapping[str, bytes], body: Mapping[str, Any]) -> str:
    """SHA-256 of the files that a training starts from, of ``body`` (JSON) and of the version of torch."""
    digest = hashlib.sha256()
    for name, data in sorted(start.items()):
        digest.update(name.encode() + hashlib.sha256(data).digest())
    digest.update(json.dumps({**body, "torch": torch.__version__}, sort_keys=True).encode())
    return digest.hexdigest()
