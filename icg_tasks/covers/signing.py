"""Signs covers that were stored before a key was configured, when a day that keeps them is published.

A cover's name is the hash of its unsigned bytes, so its file may be exchanged for the signed one under the same name: readers
see the one or the other, both right. A signed file is left as it is, whoever signed it. Knows files and titles; no plan.
"""

import threading
from typing import Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.covers.provenance import Signer
from icg_tasks.covers.riff import SIGNATURE, chunk
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.stage import StageContext

Row = dict[str, Any]


class LateSigner:
    """Signs from any number of threads; ``signed`` counts."""

    def __init__(self, context: StageContext) -> None:
        """Raises SettingsError where the key cannot be used."""
        self._context, self._own = context, threading.local()
        self._lock, self.signed = threading.Lock(), 0
        self._titles: dict[str, str] = {}
        if find_partition(context.store, keys.ITEMS, context.run_date) is not None:
            table = read_partition(context.store, keys.ITEMS, context.run_date, ["item_id", "title"])
            self._titles = dict(zip(table["item_id"].to_pylist(), table["title"].to_pylist(), strict=True))
        self._signer()

    @classmethod
    def configured(cls, context: StageContext) -> "LateSigner | None":
        """None where covers are not signed."""
        covers = context.settings.covers
        return cls(context) if covers.c2pa_certificate or covers.c2pa_key else None

    def sign(self, row: Row, data: bytes, etag: str) -> None:
        """Exchange an unsigned file for a signed one, unless somebody else has just done so. Raises IcgError."""
        if chunk(data, SIGNATURE) is not None:
            return
        item = str(row["item_id"])
        signed = self._signer().sign(data, self._titles.get(item, item))
        if self._context.store.put_if_match(row["blob"], signed, etag):
            with self._lock:
                self.signed += 1

    def _signer(self) -> Signer:
        """This thread's own."""
        if not hasattr(self._own, "signer"):
            self._own.signer = Signer(self._context.settings.covers)
        signer: Signer = self._own.signer
        return signer
