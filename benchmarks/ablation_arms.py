"""The ways to tell a denoiser what to draw that the ablations compare. Nothing to run here.

Legend: G items, S segments, K states, C conditioning width, V = 2E user vector.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmarks.ground import Ground
from benchmarks.held_out import HeldOut
from icg_tasks.backbones.denoisers.conditioning import Conditioning
from icg_tasks.contracts.partitions import ITEM_FEATURES, SEGMENTS
from icg_tasks.lake.partitions import read_partition
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.catalogue import Catalogue
from icg_tasks.models.icg.studio import Studio
from icg_tasks.world.attributes import CoverAttributes, all_looks
from icg_tasks.world.catalogue import CLAUSES, caption


@dataclass(frozen=True, kw_only=True)
class Telling:
    """Items and user vectors [S, V] to what is told for each pair, item by item; ``scale`` is the personalisation scale."""

    studio: Studio
    tell: Callable[[Catalogue, Tensor, float], list[Conditioning]]
    scale: float = 1.0


def by_adapter(studio: Studio, adapter: IcgAdapter) -> Telling:
    """As ICG does it."""

    @torch.no_grad()
    def tell(items: Catalogue, users_SV: Tensor, scale: float) -> list[Conditioning]:
        states = studio.states(adapter, studio.read(items, adapter))
        return [adapter(states[row].expand(len(users_SV), -1, -1), users_SV, scale) for row in range(len(items))]

    return Telling(studio=studio, tell=tell)


def history_average(whole: Telling, ground: Ground) -> Telling:
    """The mean vector of a segment's history of items, less the catalogue's, as long as the segment's own vector."""
    store, day = ground.context.store, ground.context.run_date
    table = read_partition(store, ITEM_FEATURES, day, ["item_id", "vector"])
    vectors = dict(zip(table["item_id"].to_pylist(), np.array(table["vector"].to_pylist(), dtype=np.float32), strict=True))
    mean = np.mean(list(vectors.values()), axis=0)
    averages = {}
    for row in read_partition(store, SEGMENTS, day, ["centroid", "history"]).to_pylist():
        known = [vectors[item] for item in row["history"] if item in vectors]
        averages[_key(np.array(row["centroid"], dtype=np.float32))] = np.mean(known, axis=0) - mean if known else 0 * mean

    def tell(items: Catalogue, users_SV: Tensor, scale: float) -> list[Conditioning]:
        history = torch.from_numpy(np.stack([averages[_key(user.numpy())] for user in users_SV]))
        length = users_SV.norm(dim=1, keepdim=True)
        return whole.tell(items, functional.normalize(history, dim=1) * length, scale)

    return replace(whole, tell=tell)


def _key(vector: NDArray[np.float32]) -> bytes:
    return vector.astype(np.float32).tobytes()


def prompt_writer(ground: Ground, shown: HeldOut) -> Telling:
    """Title and words of a look, through the denoiser's own text encoder; the words that the dual encoder finds most like
    the segment's history of covers. No adapter, no training."""
    encoder, denoiser = ground.studio.judges.encoder, ground.studio.denoiser
    rng = np.random.default_rng(1)
    words = [
        caption(CoverAttributes(subject="mountain", look=look), rng, CLAUSES).split(", ", 1)[1] for look in all_looks()
    ]  # every look's clauses without the subject
    with torch.no_grad():
        texts = torch.cat([encoder.embed_texts(words[at : at + 64]) for at in range(0, len(words), 64)])
        pictures = shown.history_vectors()  # [S, E]
        chosen = (pictures @ (texts - texts.mean(0)).T).argmax(dim=1).tolist()

    @torch.no_grad()
    def tell(items: Catalogue, users_SV: Tensor, scale: float) -> list[Conditioning]:
        del users_SV, scale
        return [denoiser.encode_text([f"{title}, {words[row]}" for row in chosen]) for title in items.titles]

    return Telling(studio=ground.studio, tell=tell)


@dataclass(frozen=True, kw_only=True)
class _Caption:
    """The denoiser's text states of the titles in a reading's place."""

    titles: list[str]


class CaptionModel:
    """Stands where the language model stands and knows the plain caption alone: the text encoder's states of the title."""

    def __init__(self, studio: Studio) -> None:
        self._denoiser = studio.denoiser
        self.width = studio.denoiser.shape.width
        self.embedding_deviation = studio.language.embedding_deviation

    def read(self, titles: Sequence[str], images: Sequence[Image.Image], num_tokens: int) -> _Caption:
        """Titles; the image goes unseen."""
        del images, num_tokens
        return _Caption(titles=list(titles))

    @torch.no_grad()
    def states(self, reading: _Caption, tokens_KD: Tensor) -> Tensor:
        """Text states [B, K, C]; meta tokens are not asked."""
        del tokens_KD
        return self._denoiser.encode_text(reading.titles).sequence


def caption_only(studio: Studio) -> Studio:
    """The same studio with the plain caption in the place of language model and meta tokens."""
    other = copy.copy(studio)
    other.language = CaptionModel(studio)  # type: ignore[assignment]
    return other
