"""What a cover is made from, and what became of it. Plain values; knows no model and no data set.

Legend: H height, W width, E encoder width, V = 2E user vector.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    unreadable: str | None = None  # why the item cannot be read: it keeps its place in the batch, nothing is made of it

    @property
    def content(self) -> str:
        """Hex digest of title and image."""
        digest = hashlib.sha256(self.title.encode("utf-8", "surrogatepass") + b"\0")
        digest.update(self.image_bytes)
        return digest.hexdigest()


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


@dataclass(frozen=True, kw_only=True)
class Unmade:
    """A request whose item cannot be read."""

    item_id: str
    why: str


def covers_in_a_batch(batch_size: int, candidates: int) -> int:
    """How many covers of so many candidates are drawn together.

    >>> covers_in_a_batch(32, 4), covers_in_a_batch(2, 4)
    (8, 1)
    """
    return max(1, batch_size // candidates)


def cut(requests: Sequence[CoverRequest], batch_size: int) -> Iterator[list[int]]:
    """Row numbers batch by batch, those of an item behind each other, items in the order of their first request.

    A batch has at most ``batch_size`` candidates (one request alone may have more).
    """
    rows: dict[str, list[int]] = {}
    for number, request in enumerate(requests):
        rows.setdefault(request.item_id, []).append(number)
    batch: list[int] = []
    filled = 0
    for number in (number for mine in rows.values() for number in mine):
        count = requests[number].candidates
        if batch and filled + count > batch_size:
            yield batch
            batch, filled = [], 0
        batch.append(number)
        filled += count
    if batch:
        yield batch
