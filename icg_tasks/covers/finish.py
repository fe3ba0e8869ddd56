"""From a chosen image to a file in the store: safety check, title, encoding, provenance, signature, upload.

What must not be published is told by a reason and never stored. Uploads run beside the work on the next covers, so a row is
right once ``stored`` has returned it. Knows one cover at a time; no plan and no pointer.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from icg_tasks.contracts import partitions as keys
from icg_tasks.covers.checks import encode_webp
from icg_tasks.covers.overlay import TitleOverlay
from icg_tasks.covers.provenance import Signer
from icg_tasks.covers.riff import SIGNATURE, chunk, without_signature
from icg_tasks.lake.store import ObjectStore
from icg_tasks.lake.uploads import Uploads
from icg_tasks.stage import StageContext

if TYPE_CHECKING:
    from icg_tasks.covers.safety import SafetyChecker

UNSAFE = "unsafe"
Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where a cover's file lies, and its size in pixels."""

    cover_id: str
    blob: str
    width: int
    height: int


class Finisher:
    """Everything between pixels and blob, loaded once."""

    def __init__(
        self,
        store: ObjectStore,
        quality: int,
        safety: "SafetyChecker | None" = None,
        overlay: TitleOverlay | None = None,
        signer: Signer | None = None,
    ) -> None:
        self._store, self._quality, self._uploads = store, quality, Uploads(store)
        self._safety, self._overlay, self._signer = safety, overlay, signer

    @classmethod
    def load(cls, context: StageContext) -> "Finisher":
        """As settings ask; raises SettingsError for a key, font or library that is not there, DataMissing for a checkpoint."""
        covers = context.settings.covers
        overlay = TitleOverlay(covers.title_font) if covers.title_overlay else None
        return cls(context.store, covers.webp_quality, _safety(context), overlay, Signer.configured(covers))

    def finish(self, image_HWC: NDArray[np.uint8], title: str) -> Stored | str:
        """The file, which is stored when ``stored`` returns, or why this image must not be published (none is stored then)."""
        if self._safety is not None and self._safety.unsafe(image_HWC):
            return UNSAFE
        shown = image_HWC if self._overlay is None else self._overlay.draw(image_HWC, title)
        if isinstance(shown, str):
            return shown
        data = encode_webp(shown, self._quality)
        name = hashlib.sha256(data).hexdigest()
        blob = keys.blob_key(name)
        self._uploads.put(blob, data if self._signer is None else self._signed(self._signer, blob, data, title))
        height, width = shown.shape[:2]
        return Stored(cover_id=name, blob=blob, width=width, height=height)

    def stored(self, made: Made) -> Made:
        """The same, when every file finished so far is in the store; raises what its upload raised."""
        self._uploads.wait()
        return made

    def _signed(self, signer: Signer, blob: str, unsigned: bytes, title: str) -> bytes:
        """The signed file: the one that is there already, or a new one."""
        found = self._store.get_with_etag(blob)
        if found is not None and chunk(found[0], SIGNATURE) is not None and without_signature(found[0]) == unsigned:
            return found[0]
        return signer.sign(unsigned, title)


def _safety(context: StageContext) -> "SafetyChecker | None":
    if not context.settings.covers.safety_checker:
        return None
    from icg_tasks.backbones.device import choose_compute
    from icg_tasks.covers.safety import SafetyChecker

    return SafetyChecker.load(context.settings.covers.safety_checker, choose_compute(context.settings.backbones).device)
