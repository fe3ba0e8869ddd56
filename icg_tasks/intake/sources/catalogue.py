"""A catalogue of outside items that have a picture: names, titles, and the files of one folder.

Knows nothing of any format.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.schemas import RAW_ITEMS

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An item by the name that its source gives it."""

    name: str
    title: str
    category: str
    language: str


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """``files``: item name → picture; ``folder`` they lie in."""

    source: str
    folder: Path
    files: Mapping[str, Path]

    def key(self, name: str) -> str:
        """Key below raw/images/."""
        return f"{self.source}/{self.files[name].name.lower()}"


def pictures(folder: Path, source: str, places: Sequence[str]) -> Pictures:
    """The first of these folders that holds pictures named by item; raises DataMissing. Links are not followed."""
    for place in places:
        if not (folder / place).is_dir():
            continue
        with os.scandir(folder / place) as entries:
            paths = [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
        files = {path.stem: path for path in sorted(paths) if path.suffix.lower() in _SUFFIXES and _NAME.fullmatch(path.stem)}
        if files:
            return Pictures(source=source, folder=folder / place, files=files)
    raise DataMissing(
        f"no pictures in {folder} ({', '.join(places)}): a cover lies beside the data as <item>.jpg; items without one stay "
        "out, and here that is all of them"
    )


def items_table(listed: Sequence[Listed], source: str, images: Pictures, first_day: date) -> pa.Table:
    """The catalogue (RAW_ITEMS), by item name; raises DataMissing where it is empty."""
    if not listed:
        raise DataMissing(f"{source}: no listed item has a picture in {images.folder}; names must be <item>.jpg")
    ordered = sorted(listed, key=lambda item: item.name)
    return pa.table(
        {
            "item_id": [f"{source}-{item.name}" for item in ordered],
            "title": [item.title for item in ordered],
            "reference_image": [images.key(item.name) for item in ordered],
            "category": [item.category for item in ordered],
            "language": [item.language for item in ordered],
            "updated_at": [f"{first_day.isoformat()}T00:00:00.000Z"] * len(ordered),
        },
        schema=RAW_ITEMS,
    )
