"""Makes covers: item and user vector in, the best of several images out, with scores. For the day and for evaluation.

Batches hold covers of any items; each image is drawn from noise of its own seed, in tensors of one shape, so a cover's bytes
do not depend on who else is in the batch. While one batch is drawn, the next one's items are read and the last one is developed
and judged, each in a thread of its own. Knows models and pixels; no data set, no segment.
Legend: B images of a batch, R requests, C 3 channels, H height, W width, E encoder width, V = 2E user vector.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.images import decode_image, pil_to_pixels
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.covers.asked import CoverRequest, Floats, GeneratedCover, Image8, Unmade, cut
from icg_tasks.covers.checks import pixel_fault
from icg_tasks.covers.drawing import Drawer, open_drawer
from icg_tasks.covers.overlap import ahead
from icg_tasks.covers.requests import candidate_seed
from icg_tasks.covers.scorer import CoverScorer, Judged
from icg_tasks.covers.selection import choose, relevance_fault
from icg_tasks.covers.versions import ModelVersions, model_versions
from icg_tasks.models.icg.generator import images_at_once
from icg_tasks.models.training.threads import one_thread
from icg_tasks.stage import StageContext

__all__ = ["CoverEngine", "CoverRequest", "GeneratedCover", "Unmade", "quantised"]

_ITEMS_KEPT = 64


@dataclass(frozen=True, kw_only=True)
class _Item:
    """An item as all models have read it."""

    read: Any
    title_E: Tensor
    own_relevance: float


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Requests and their items (``Unmade`` where one cannot be read), then what was drawn of them."""

    requests: list[CoverRequest]
    items: list[_Item | Unmade]
    users_BV: Tensor
    scales_B: Tensor
    drawn: Any = None


class CoverEngine:
    """Generator, preference model and rewards, loaded once."""

    def __init__(self, context: StageContext, drawer: Drawer, scorer: CoverScorer, versions: ModelVersions) -> None:
        self._settings, self._intake = context.settings.covers, context.settings.intake
        self._drawer, self._scorer = drawer, scorer
        compute = choose_compute(context.settings.backbones)
        self._judged_at_once = images_at_once(context.settings.covers, context.settings.generation, compute)
        self._items: OrderedDict[str, _Item | Unmade] = OrderedDict()
        self.versions = versions

    @classmethod
    def load(cls, context: StageContext) -> "CoverEngine":
        """With the champions as of the run date; raises DataMissing where one is not there."""
        versions = model_versions(context)
        return cls(context, open_drawer(context), CoverScorer.load(context), versions)

    def generate(self, requests: Sequence[CoverRequest]) -> list[GeneratedCover]:
        """One cover per request, in the order of the requests.

        Raises:
            DataCorrupt: an item's own cover cannot be decoded within bounds (names the item).
        """
        batches = list(cut(requests, self._settings.batch_size))
        found: dict[int, GeneratedCover] = {}
        for rows, covers in zip(batches, self.make([requests[row] for row in rows] for rows in batches), strict=True):
            for row, cover in zip(rows, covers, strict=True):
                if isinstance(cover, Unmade):
                    raise DataCorrupt(f"own cover of item {cover.item_id}: {cover.why}")
                found[row] = cover
        return [found[row] for row in range(len(requests))]

    def make(self, batches: Iterable[list[CoverRequest]]) -> Generator[list[GeneratedCover | Unmade], None, None]:
        """What becomes of each batch, in order; batches are asked for while earlier ones are drawn."""
        with one_thread():
            prepared = ahead((self._prepared(batch) for batch in batches), begin=_settle)
            drawn = ahead((self._drawn(batch) for batch in prepared), begin=_settle)
            try:
                for batch in drawn:
                    with torch.no_grad():
                        covers = self._judged(batch)
                    yield covers
            finally:
                drawn.close()
                prepared.close()

    def _prepared(self, requests: list[CoverRequest]) -> _Batch:
        """All work that is done once per item."""
        drawn = [request for request in requests for _ in range(request.candidates)]
        users_BV, scales_B = self._users(drawn)
        items = [self._item(request) for request in requests]
        return _Batch(requests=requests, items=items, users_BV=users_BV, scales_B=scales_B)

    def _item(self, request: CoverRequest) -> _Item | Unmade:
        """The item, read or remembered."""
        if request.unreadable is not None:
            return Unmade(item_id=request.item_id, why=request.unreadable)
        content = request.content
        name = f"{request.item_id}/{content}"
        if name not in self._items:
            self._items[name] = self._read(request, content)
            if len(self._items) > _ITEMS_KEPT:
                self._items.popitem(last=False)
        return self._items[name]

    def _read(self, request: CoverRequest, content: str) -> _Item | Unmade:
        limits = self._intake
        try:
            own = decode_image(request.image_bytes, max_bytes=limits.max_image_bytes, max_pixels=limits.max_image_pixels)
        except DataCorrupt as error:
            return Unmade(item_id=request.item_id, why=str(error))
        title_E = self._scorer.title(request.title)
        return _Item(
            read=self._drawer.read(own.convert("RGB"), request.title, content),
            title_E=title_E,
            own_relevance=self._scorer.relevance(pil_to_pixels(own), title_E),
        )

    def _drawn(self, batch: _Batch) -> _Batch:
        """With images of every request; one whose item cannot be read borrows another one's, so that all keep their places."""
        reads = [item.read for item in batch.items if isinstance(item, _Item)]
        if not reads:
            return batch
        counts = [request.candidates for request in batch.requests]
        reads_R = [item.read if isinstance(item, _Item) else reads[0] for item in batch.items]
        seeds = [candidate_seed(request.seed, number) for request in batch.requests for number in range(request.candidates)]
        drawn = self._drawer.draw(reads_R, batch.users_BV, batch.scales_B, seeds, counts)
        return replace(batch, drawn=drawn)

    def _judged(self, batch: _Batch) -> list[GeneratedCover | Unmade]:
        """The best of each request's candidates."""
        if batch.drawn is None:
            return [item for item in batch.items if isinstance(item, Unmade)]
        pixels_BCHW = self._drawer.develop(batch.drawn)
        images_BHWC = quantised(pixels_BCHW)
        judged = self._scores(images_BHWC, batch)
        seen = [pixel_fault(one) for one in pixels_BCHW.float().permute(0, 2, 3, 1).cpu().numpy()]
        faults = [fault or (None if one.finite else "not_finite") for fault, one in zip(seen, judged, strict=True)]
        covers: list[GeneratedCover | Unmade] = []
        start = 0
        for request, item in zip(batch.requests, batch.items, strict=True):
            mine = slice(start, start + request.candidates)
            start = mine.stop
            if isinstance(item, Unmade):
                covers.append(item)
            else:
                covers.append(self._best(request, images_BHWC[mine], judged[mine], faults[mine], item.own_relevance))
        return covers

    def _scores(self, images_BHWC: Image8, batch: _Batch) -> list[Judged]:
        """Scores of all images, in batches of one shape."""
        nothing_E = torch.zeros(self._scorer.user_width // 2, device=self._scorer.device)
        titles = [item.title_E if isinstance(item, _Item) else nothing_E for item in batch.items]
        counts = torch.tensor([request.candidates for request in batch.requests], device=self._scorer.device)
        titles_BE = torch.stack(titles).repeat_interleave(counts, dim=0)
        judged: list[Judged] = []
        for start in range(0, len(images_BHWC), self._judged_at_once):
            rows_B = torch.arange(start, start + self._judged_at_once).clamp(max=len(images_BHWC) - 1)
            found = self._scorer.judge(images_BHWC[rows_B.numpy()], titles_BE[rows_B], batch.users_BV[rows_B])
            judged += found[: len(images_BHWC) - start]
        return judged

    def _best(
        self, request: CoverRequest, images_NHWC: Image8, judged: list[Judged], faults: list[str | None], own: float
    ) -> GeneratedCover:
        """The chosen candidate of one cover, with the reason against publishing it, if there is one."""
        settings = self._settings
        sound = [number for number, fault in enumerate(faults) if fault is None]
        if sound:
            relevances, preferences = [judged[n].relevance for n in sound], [judged[n].preference for n in sound]
            number = sound[choose(preferences, relevances, slack=settings.candidate_slack * abs(own))]
            rejected = relevance_fault(judged[number].relevance, own, settings)
        else:
            number, rejected = 0, faults[0]
        best = judged[number]
        return GeneratedCover(
            item_id=request.item_id,
            image=images_NHWC[number],
            vector=best.vector,
            seed=request.seed,
            candidate=number,
            preference=best.preference,
            relevance=best.relevance,
            aesthetic=best.aesthetic,
            rejected=rejected,
        )

    def _users(self, requests: list[CoverRequest]) -> tuple[Tensor, Tensor]:
        """User vectors [B, V], zero for nobody special, and personalisation scales [B]."""
        zero: Floats = np.zeros(self._scorer.user_width, dtype=np.float32)
        rows = [zero if request.user_vector is None else request.user_vector for request in requests]
        if any(row.shape != zero.shape for row in rows):
            raise DataCorrupt(f"a user vector is not {len(zero)} wide, as encoder and preference model want it; re-run the day")
        return torch.from_numpy(np.stack(rows)), torch.tensor([request.scale for request in requests])


def quantised(pixels_BCHW: Tensor) -> Image8:
    """Pixels in [0, 1] as 8-bit images [B, H, W, 3]; values that are not finite become black (and are reported elsewhere)."""
    levels = torch.nan_to_num(pixels_BCHW.float(), nan=0.0, posinf=0.0, neginf=0.0).clamp(0, 1) * 255.0
    return np.ascontiguousarray(levels.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


def _settle() -> None:
    """Torch's state is each thread's own: no gradients, and one thread of arithmetic, so that sums have one order."""
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
