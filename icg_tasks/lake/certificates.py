"""Certificates of erasure: what was removed of whom, as JSON in the store. Written by whoever removes, read by whoever asks."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from icg_tasks.contracts.partitions import ERASURE_CERTIFICATES, partition_prefix
from icg_tasks.lake.store import ObjectStore


def certificate_key(day: date) -> str:
    """Where the certificate of a day's requests lies.

    >>> certificate_key(date(2026, 3, 1))
    'certificates/erasures/ds=2026-03-01/certificate.json'
    """
    return f"{partition_prefix(ERASURE_CERTIFICATES, day)}/certificate.json"


def read_certificate(store: ObjectStore, day: date) -> dict[str, Any]:
    """The certificate of a day's requests, empty where there is none."""
    found = store.get_with_etag(certificate_key(day))
    body: dict[str, Any] = {} if found is None else json.loads(found[0])
    return body


def write_certificate(store: ObjectStore, day: date, body: Mapping[str, Any]) -> None:
    """Equal certificates have equal bytes."""
    store.put(certificate_key(day), json.dumps(body, sort_keys=True, indent=1).encode())
