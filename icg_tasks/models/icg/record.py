"""What a watcher of a training sees: curves and sheets of covers in TensorBoard's files, the sheets as PNG beside them.

Written by the main process alone into a folder that outlives the run; nothing reads it back. Knows models and a folder.
Legend: G items, U users, nobody first, H W pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.audience import Audience
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.training.events import EventFile

_ITEMS, _USERS = 4, 3
_SEED = 4_711
_GAP = 2


class Record:
    """The record of one training in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._events = EventFile(folder)

    def figures(self, step: int, group: str, values: dict[str, Any]) -> None:
        """Curves under ``group/name``; anything but numbers is left out."""
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, (int, float)) and name != "step"}
        self._events.figures(step, {f"{group}/{name}": value for name, value in numbers.items()})

    def covers(self, step: int, images_GUCHW: Tensor) -> None:
        """A sheet: one row per item, nobody's cover first, then some segments'."""
        sheet = sheet_of(images_GUCHW)
        sheet.save(self.folder / f"covers-{step:06d}.png")
        self._events.image(step, "covers", sheet)


@torch.no_grad()
def sample_covers(studio: Studio, adapter: IcgAdapter, items: Catalogue, audience: Audience) -> Tensor:
    """Covers [G, U, 3, H, W] of the first items for nobody and the largest segments, always from the same noise."""
    chosen = items.part(list(range(min(_ITEMS, len(items)))))
    segments = torch.from_numpy(audience.segments_SV[:_USERS])
    users = torch.cat([torch.zeros_like(segments[:1]), segments]).to(studio.compute.device)
    states = studio.states(adapter, studio.read(chosen, adapter))
    rows = []
    for row in range(len(chosen)):
        noise = studio.denoiser.noise([_SEED + row]).expand(len(users), -1, -1, -1)
        rows.append(studio.draw(adapter(states[row].expand(len(users), -1, -1), users), noise).clamp(0.0, 1.0))
    return torch.stack(rows)


def sheet_of(images_GUCHW: Tensor) -> Image.Image:
    """One RGB image of them all, in rows and columns."""
    pixels = (images_GUCHW.float().cpu() * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()
    rows, columns, height, width, _ = pixels.shape
    sheet = np.full((rows * (height + _GAP), columns * (width + _GAP), 3), 255, dtype=np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + _GAP), column * (width + _GAP)
            sheet[top : top + height, left : left + width] = pixels[row, column]
    return Image.fromarray(sheet)
