"""The generators behind one interface: items read once, images of them drawn for user vectors.

``generator`` in settings names one. Everything around it (planning, choice among candidates, checks, publishing, evaluation)
knows this file alone. A new one is a class here and a line in DRAWERS.
Legend: B images, R requests, C 3, H height, W width, V user vector.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.fixed_batches import FixedBatches
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.stages import ICG, PIGEON
from icg_tasks.covers.states_cache import StatesCache
from icg_tasks.covers.versions import PREFERENCE, checkpoint_name, main_generator
from icg_tasks.lake.registry import fetch_version, require_champion
from icg_tasks.stage import StageContext


class Drawer(Protocol):
    """A generator, loaded once, frozen."""

    def read(self, image: Image.Image, title: str, content: str) -> Any:
        """Whatever depends on the item alone, to be given to ``draw``; ``content`` is a hex digest of image and title."""
        ...

    def draw(
        self, reads_R: Sequence[Any], users_BV: Tensor, scales_B: Tensor, seeds: Sequence[int], candidates_R: Sequence[int]
    ) -> Any:
        """For each request in turn its candidates, one row each, to be given to ``develop``.

        A zero user vector or a personalisation scale of 0 gives the unpersonalised cover.
        """
        ...

    def develop(self, drawn: Any) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1]."""
        ...


class IcgDrawer:
    """ICG: meta tokens, adapter, denoiser."""

    def __init__(self, context: StageContext) -> None:
        from icg_tasks.models.icg.generator import IcgGenerator

        self.generator = IcgGenerator.load(context)
        self._cache: StatesCache | None = None
        if context.settings.generation.states_cache_bytes > 0:
            self._cache = StatesCache(context.store, self._reader_name(context))

    def read(self, image: Image.Image, title: str, content: str) -> Tensor:
        """States of the meta tokens [1, K, D], read alone, so that they do not depend on who else is read."""
        if self._cache is None:
            return self.generator.item_states([image], [title])
        shape = (1, *self.generator.adapter.meta_tokens.shape)
        return self._cache.states(content, lambda: self.generator.item_states([image], [title]), shape)

    def draw(
        self, reads_R: Sequence[Tensor], users_BV: Tensor, scales_B: Tensor, seeds: Sequence[int], candidates_R: Sequence[int]
    ) -> Tensor:
        """Latents, each image's from noise of its own seed; batches hold images of any items and users."""
        rows = [read.expand(count, *read.shape[1:]) for read, count in zip(reads_R, candidates_R, strict=True)]
        return self.generator.latents(torch.cat(rows), users_BV, scales_B, seeds)

    def develop(self, drawn: Tensor) -> Tensor:
        """The autoencoder's work."""
        return self.generator.pixels(drawn)

    def _reader_name(self, context: StageContext) -> str:
        """Hex digest of everything that decides states besides the item."""
        compute = self.generator.compute
        name = [checkpoint_name(context.settings.backbones.language_model), compute.device.type, compute.frozen_dtype]
        digest = hashlib.sha256(repr([*name, compute.bfloat16, compute.attention]).encode())
        digest.update(self.generator.adapter.meta_tokens.float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]


class PigeonDrawer:
    """Pigeon: the covers that a user vector would like most stand for its history; candidates differ in how much of the
    reference is hidden."""

    def __init__(self, context: StageContext) -> None:
        from icg_tasks.models.icg.generator import images_at_once
        from icg_tasks.models.pigeon.generator import PigeonGenerator
        from icg_tasks.models.pigeon.liked import LikedCovers
        from icg_tasks.models.pigeon.model import KIND
        from icg_tasks.models.preference.model import PreferenceModel

        store, day, place = context.store, context.run_date, context.scratch("models")
        self.generator = PigeonGenerator.load(context)
        device = self.generator.tokens.compute.device
        self._liked = LikedCovers.load(fetch_version(store, require_champion(store, KIND, day), place), device)
        folder = fetch_version(store, require_champion(store, PREFERENCE, day), place)
        self._preference = PreferenceModel.load(folder).to(device)
        self._side = context.settings.covers.size_pixels
        compute = self.generator.tokens.compute
        self._batches = FixedBatches(images_at_once(context.settings.covers, context.settings.generation, compute))
        self._histories: dict[bytes, Any] = {}

    def read(self, image: Image.Image, title: str, content: str) -> tuple[Tensor, str]:  # noqa: ARG002
        """Codes [N] of the item's own cover, and its title."""
        return self.generator.tokens.encode([image])[0], title

    def draw(
        self,
        reads_R: Sequence[tuple[Tensor, str]],
        users_BV: Tensor,
        scales_B: Tensor,
        seeds: Sequence[int],
        candidates_R: Sequence[int],
    ) -> Tensor:
        """Codes [B, N]; all requests are written together.

        Raises SettingsError for a scale between or beyond 0 and 1: a history is told or not.
        """
        from icg_tasks.models.pigeon.generator import Wanted

        wanted, start = [], 0
        for (codes, title), count in zip(reads_R, candidates_R, strict=True):
            mine = list(seeds[start : start + count])
            history = self._history(users_BV[start], float(scales_B[start]))
            ratios = self.generator.ratios(mine)
            wanted.append(Wanted(reference_N=codes, title=title, history=history, ratios=ratios, seeds=mine))
            start += count
        return self.generator.write(wanted)[0]

    def develop(self, drawn: Tensor) -> Tensor:
        """The decoder's work, in batches of one shape: the same codes are the same pixels, whoever else is written."""
        pixels = self._batches.run(lambda rows_B: self.generator.tokens.decode(drawn[rows_B]), len(drawn))
        if pixels.shape[-1] != self._side:
            size = (self._side, self._side)
            pixels = functional.interpolate(pixels, size=size, mode="bicubic", antialias=True).clamp(0.0, 1.0)
        return pixels

    def _history(self, user_V: Tensor, scale: float) -> Any:
        """None for nobody special. A user vector has one history, found once."""
        if scale not in {0.0, 1.0}:
            raise SettingsError(f"a personalisation of {scale:g} means nothing to generator=pigeon; expected 0 or 1")
        if not scale or not bool(user_V.any()):
            return None
        name = user_V.cpu().numpy().tobytes()
        if name not in self._histories:
            self._histories[name] = self._liked.history(self._preference, user_V, self.generator.pigeon.shape.history_length)
        return self._histories[name]


DRAWERS: dict[str, Callable[[StageContext], Drawer]] = {ICG: IcgDrawer, PIGEON: PigeonDrawer}
"""Name in settings to class."""


def open_drawer(context: StageContext) -> Drawer:
    """The main generator of settings, with the champions as of the run date; raises SettingsError or DataMissing."""
    return DRAWERS[main_generator(context)](context)
