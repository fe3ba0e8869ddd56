"""Who tells the denoiser what to draw while it is adapted to a catalogue: its own text encoder, and the adapter that will.

A LoRA learned under titles alone would hold for titles alone: what an adapter says lies elsewhere, and covers drawn for it
would keep the base model's colours. Reads the registry; knows no loss. Legend: B items.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from icg_tasks.backbones.denoisers.conditioning import Conditioning, Denoiser, join
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.lake.registry import champion_as_of, fetch_version
from icg_tasks.models.icg.adapter import KIND, IcgAdapter
from icg_tasks.stage import StageContext

_BATCH = 16


class AdapterSpeaker:
    """The adapter that training of this date starts from, speaking of items to nobody special."""

    def __init__(self, adapter: IcgAdapter, language: Any) -> None:
        self._adapter, self._language = adapter.eval().requires_grad_(False), language

    @classmethod
    def of_day(cls, context: StageContext, denoiser: Denoiser, compute: Compute) -> "AdapterSpeaker | None":
        """The earlier champion or the warm adapter; None where neither speaks to this denoiser (a fresh one will follow it)."""
        champion = champion_as_of(context.store, KIND, context.run_date, strictly_before=True)
        backbones = context.settings.backbones
        places = [fetch_version(context.store, champion, context.scratch("models"))] if champion else []
        places += [Path(resolve_checkpoint(backbones.warm_adapter))] if backbones.warm_adapter else []
        language = open_language_model(backbones, compute) if places else None
        for place in places:
            adapter = IcgAdapter.load(place)
            if language and adapter.config.shape == denoiser.shape and adapter.config.language_width == language.width:
                return cls(adapter.to(compute.device), language)
        return None

    @torch.no_grad()
    def tell(self, images: Sequence[Image.Image], titles: Sequence[str]) -> Conditioning:
        """What it says of each item [B]."""
        told = []
        for at in range(0, len(titles), _BATCH):
            rows = slice(at, at + _BATCH)
            reading = self._language.read(titles[rows], images[rows], self._adapter.config.num_meta_tokens)
            told.append(self._adapter(self._language.states(reading, self._adapter.meta_tokens), None))
        return join(told)
