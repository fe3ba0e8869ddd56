"""The generators behind one interface: an item read once, images of it drawn for user vectors.

``generator`` in settings names one. Everything around it (planning, choice among candidates, checks, publishing, evaluation)
knows this file alone. A new one is a class here and a line in DRAWERS.
Legend: B images, R requests, C 3, H height, W width, V user vector.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from PIL import Image
from torch import Tensor
from torch.nn import functional

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.covers.versions import ICG, PIGEON, PREFERENCE
from icg_tasks.lake.registry import fetch_version, require_champion
from icg_tasks.stage import StageContext


class Drawer(Protocol):
    """A generator, loaded once, frozen."""

    def read(self, image: Image.Image, title: str) -> Any:
        """Whatever depends on the item alone; given back to ``draw``."""
        ...

    def draw(self, read: Any, users_BV: Tensor, scales_B: Tensor, seeds: Sequence[int], candidates_R: Sequence[int]) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1]: for each request in turn its candidates, one row each.

        A zero user vector or a personalisation scale of 0 gives the unpersonalised cover.
        """
        ...


class IcgDrawer:
    """ICG: meta tokens, adapter, denoiser."""

    def __init__(self, context: StageContext) -> None:
        from icg_tasks.models.icg.generator import IcgGenerator

        self.generator = IcgGenerator.load(context)

    def read(self, image: Image.Image, title: str) -> Tensor:
        """States of the meta tokens [1, K, D]."""
        return self.generator.item_states([image], [title])

    def draw(
        self, read: Tensor, users_BV: Tensor, scales_B: Tensor, seeds: Sequence[int], candidates_R: Sequence[int]
    ) -> Tensor:
        """Each image from noise of its own seed."""
        del candidates_R  # rows are all alike
        told = self.generator.conditions(read.expand(len(seeds), *read.shape[1:]), users_BV, scale=scales_B)
        return self.generator.sample(told, seeds=seeds)


class PigeonDrawer:
    """Pigeon: the covers that a user vector would like most stand for its history; candidates differ in how much of the
    reference is hidden."""

    def __init__(self, context: StageContext) -> None:
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
        self._histories: dict[bytes, Any] = {}

    def read(self, image: Image.Image, title: str) -> tuple[Tensor, str]:
        """Codes [N] of the item's own cover, and its title."""
        return self.generator.tokens.encode([image])[0], title

    def draw(
        self, read: tuple[Tensor, str], users_BV: Tensor, scales_B: Tensor, seeds: Sequence[int], candidates_R: Sequence[int]
    ) -> Tensor:
        """Raises SettingsError for a scale between or beyond 0 and 1: a history is told or not."""
        from icg_tasks.models.pigeon.generator import Wanted

        wanted, start = [], 0
        for count in candidates_R:
            mine = list(seeds[start : start + count])
            history = self._history(users_BV[start], float(scales_B[start]))
            wanted.append(Wanted(history=history, ratios=self.generator.ratios(mine), seeds=mine))
            start += count
        pixels = self.generator.tokens.decode(self.generator.write(*read, wanted)[0])
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
    """The generator that settings name, with the champions as of the run date; raises SettingsError or DataMissing."""
    name = context.settings.generator
    if name not in DRAWERS:
        raise SettingsError(f"generator={name!r}; expected one of {', '.join(DRAWERS)}")
    return DRAWERS[name](context)
