"""Makes covers: item and user vector in, the best of several images out, with scores. For the day and for evaluation.

All images of one item are drawn in batches of their own, each image from noise of its own seed, so a cover's bytes do not
depend on which shard, which run or which neighbour it was made with. Knows models and pixels; no data set, no segment.
Legend: B images of a batch, C 3 channels, H height, W width, E encoder width, V = 2E user vector.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icg_tasks.backbones.images import decode_image, pil_to_pixels
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.covers.checks import pixel_fault
from icg_tasks.covers.drawing import Drawer, open_drawer
from icg_tasks.covers.requests import candidate_seed
from icg_tasks.covers.scorer import CoverScorer, Judged
from icg_tasks.covers.selection import choose, relevance_fault
from icg_tasks.covers.versions import ModelVersions, model_versions
from icg_tasks.models.training.threads import one_thread
from icg_tasks.stage import StageContext

Image8 = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class CoverRequest:
    """One cover to make. ``user_vector`` [V] None = unpersonalised; ``scale`` is the personalisation scale (0 = plain)."""

    item_id: str
    title: str
    image_bytes: bytes  # the item's own cover, as it came in
    user_vector: Floats | None
    seed: int
    candidates: int = 1
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class GeneratedCover:
    """The chosen candidate. ``rejected`` names why it must not be published, None = fine; scores are those of ``image``."""

    item_id: str
    image: Image8  # (H, W, 3)
    vector: Floats  # unit image vector [E]
    seed: int
    candidate: int
    preference: float  # logit for the request's user vector, or the base score
    relevance: float  # cosine of image and title
    aesthetic: float
    rejected: str | None


class CoverEngine:
    """Generator, preference model and rewards, loaded once."""

    def __init__(self, context: StageContext, drawer: Drawer, scorer: CoverScorer, versions: ModelVersions) -> None:
        self._settings, self._intake = context.settings.covers, context.settings.intake
        self._drawer, self._scorer = drawer, scorer
        self.versions = versions

    @classmethod
    def load(cls, context: StageContext) -> "CoverEngine":
        """With the champions as of the run date; raises DataMissing where one is not there."""
        versions = model_versions(context)
        return cls(context, open_drawer(context), CoverScorer.load(context), versions)

    @torch.no_grad()
    def generate(self, requests: Sequence[CoverRequest]) -> list[GeneratedCover]:
        """One cover per request, in the order of the requests. Hand over all requests of an item at once: it is read once.

        Raises:
            DataCorrupt: an item's own cover cannot be decoded within bounds (names the item).
        """
        found: dict[int, GeneratedCover] = {}
        with one_thread():
            for rows in _by_item(requests):
                made = self._item([requests[row] for row in rows])
                found |= dict(zip(rows, made, strict=True))
        return [found[row] for row in range(len(requests))]

    def _item(self, requests: list[CoverRequest]) -> list[GeneratedCover]:
        """All covers of one item."""
        first = requests[0]
        limits = self._intake
        try:
            own = decode_image(first.image_bytes, max_bytes=limits.max_image_bytes, max_pixels=limits.max_image_pixels)
        except DataCorrupt as error:
            raise DataCorrupt(f"own cover of item {first.item_id}: {error}") from error
        read = self._drawer.read(own.convert("RGB"), first.title)
        title_E = self._scorer.title(first.title)
        own_relevance = self._scorer.relevance(pil_to_pixels(own), title_E)
        covers = []
        for chunk in _chunks(requests, self._settings.batch_size):
            covers += self._chunk(chunk, read, title_E, own_relevance)
        return covers

    def _chunk(self, requests: list[CoverRequest], read: Any, title_E: Tensor, own: float) -> list[GeneratedCover]:
        """Covers whose candidates fit one batch."""
        drawn = [(row, number) for row, request in enumerate(requests) for number in range(request.candidates)]
        seeds = [candidate_seed(requests[row].seed, number) for row, number in drawn]
        vectors_BV, scales_B = self._users([requests[row] for row, _ in drawn])
        pixels_BCHW = self._drawer.draw(read, vectors_BV, scales_B, seeds, [request.candidates for request in requests])
        images_BHWC = quantised(pixels_BCHW)
        faults = [pixel_fault(one) for one in pixels_BCHW.float().permute(0, 2, 3, 1).cpu().numpy()]
        judged = self._scorer.judge(images_BHWC, title_E, vectors_BV)
        faults = [fault or (None if one.finite else "not_finite") for fault, one in zip(faults, judged, strict=True)]
        covers, start = [], 0
        for request in requests:
            mine = slice(start, start + request.candidates)
            covers.append(self._best(request, images_BHWC[mine], judged[mine], faults[mine], own))
            start += request.candidates
        return covers

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
        zero = np.zeros(self._scorer.user_width, dtype=np.float32)
        rows = [zero if request.user_vector is None else request.user_vector for request in requests]
        if any(row.shape != zero.shape for row in rows):
            raise DataCorrupt(f"a user vector is not {len(zero)} wide, as encoder and preference model want it; re-run the day")
        return torch.from_numpy(np.stack(rows)), torch.tensor([request.scale for request in requests])


def quantised(pixels_BCHW: Tensor) -> Image8:
    """Pixels in [0, 1] as 8-bit images [B, H, W, 3]; values that are not finite become black (and are reported elsewhere)."""
    levels = torch.nan_to_num(pixels_BCHW.float(), nan=0.0, posinf=0.0, neginf=0.0).clamp(0, 1) * 255.0
    return np.ascontiguousarray(levels.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


def _by_item(requests: Sequence[CoverRequest]) -> list[list[int]]:
    """Row numbers of each item, items in the order of their first request."""
    rows: dict[str, list[int]] = {}
    for number, request in enumerate(requests):
        rows.setdefault(request.item_id, []).append(number)
    return list(rows.values())


def _chunks(requests: list[CoverRequest], batch_size: int) -> Iterator[list[CoverRequest]]:
    """Consecutive requests with at most ``batch_size`` candidates together (one request alone may have more)."""
    chunk: list[CoverRequest] = []
    for request in requests:
        if chunk and sum(one.candidates for one in chunk) + request.candidates > batch_size:
            yield chunk
            chunk = []
        chunk.append(request)
    if chunk:
        yield chunk
