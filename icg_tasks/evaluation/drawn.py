"""Images of finished items on this machine's disk, so that an evaluation that was stopped goes on where it was.

A file is named by everything its images depend on; what does not fit any more is never found. Knows no model.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from icg_tasks.config.settings import Settings
from icg_tasks.covers.requests import rounded, settings_that_decide
from icg_tasks.evaluation.arms import HeldOutItem, Segment
from icg_tasks.evaluation.making import ItemImages, Scored, Studio


class DrawnItems:
    """One folder of drawn items, for one studio and one list of segments."""

    def __init__(self, folder: Path, studio: Studio, segments: Sequence[Segment], settings: Settings) -> None:
        self._folder, self._studio, self._segments = folder, studio, segments
        decides = [
            studio.versions,
            settings_that_decide(settings.covers),
            settings.evaluation.seed,
            settings.evaluation.best_of,
        ]
        self._identity = hashlib.sha256(json.dumps(decides, sort_keys=True).encode())
        for segment in segments:
            self._identity.update(rounded(segment.vector).tobytes())

    def get(self, item: HeldOutItem) -> ItemImages:
        """The item's images, drawn now or before; raises DataCorrupt where its own cover cannot be read."""
        path = self._path(item)
        made = _read(path, item, len(self._segments))
        if made is None:
            made = self._studio.make(item, self._segments)
            _write(path, made)
        return made

    def _path(self, item: HeldOutItem) -> Path:
        digest = self._identity.copy()
        digest.update(json.dumps([item.item_id, item.title]).encode() + item.image_bytes)
        return self._folder / f"{digest.hexdigest()[:32]}.npz"


def _write(path: Path, made: ItemImages) -> None:
    candidates = [*made.plain, *(one for drawn in made.personal for one in drawn)]
    everything = [made.own, *candidates]
    half_written = path.with_suffix(f".{os.getpid()}.part.npz")
    np.savez(
        half_written,
        title=made.title_vector,
        own=made.own.image,
        images=np.stack([one.image for one in candidates]),
        vectors=np.stack([one.vector for one in everything]),
        scores=np.array([[one.relevance, one.aesthetic] for one in everything]),
    )
    half_written.replace(path)


def _read(path: Path, item: HeldOutItem, num_segments: int) -> ItemImages | None:
    """What was kept, or None where nothing is or it cannot be read (it is then drawn again)."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            title, own, images, vectors, scores = (kept[name] for name in ("title", "own", "images", "vectors", "scores"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    pictures = [own, *images]
    found = [
        Scored(image=image, vector=vector, relevance=float(relevance), aesthetic=float(aesthetic))
        for image, vector, (relevance, aesthetic) in zip(pictures, vectors, scores, strict=True)
    ]
    count = len(images) // (num_segments + 1)
    lists = [found[start : start + count] for start in range(1, len(found), count)]
    return ItemImages(item=item, title_vector=title, own=found[0], plain=lists[0], personal=lists[1:])
