"""The training pool: covers drawn once into plain arrays, and batches of covers and texts taken from it.

Texts whose stable hash ends in zero are held out: training never sees them, figures are measured on them alone.
Run: ``python -m zoo.recipe pool``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icg_tasks.world import (
    MOODS,
    SUBJECTS,
    attributes_from_indices,
    caption,
    draw_cover,
    make_title,
    random_clauses,
    sample_attributes,
)
from icg_tasks.world.attributes import stable_hash
from icg_tasks.world.catalogue import CLAUSES
from zoo.recipe.workshop import CACHE, device, log

POOL_SIZE: Final = 24_576
HELD_OUT_SEED: Final = 1_000_000
_FOLDER: Final = CACHE / "pool"


@dataclass(frozen=True, kw_only=True)
class Pool:
    """``images`` uint8 (N, 64, 64, 3); ``indices`` int64 (N, 5), the attributes in the order of ATTRIBUTE_VALUES."""

    images: NDArray[np.uint8]
    indices: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text and which of the five attributes it says."""

    text: str
    said: tuple[bool, ...]


def draw_pool(count: int, seed: int) -> Pool:
    """Draw covers with uniform attributes; the seed also seeds every cover."""
    rng = np.random.default_rng(seed)
    attributes = [sample_attributes(rng) for _ in range(count)]
    images = np.stack([draw_cover(one, seed + number) for number, one in enumerate(attributes)])
    return Pool(images=images, indices=np.asarray([one.as_indices() for one in attributes], dtype=np.int64))


def prepare() -> None:
    """Draw the training pool into the cache unless it is there."""
    if (_FOLDER / "indices.npy").exists():
        return
    _FOLDER.mkdir(parents=True, exist_ok=True)
    pool = draw_pool(POOL_SIZE, 0)
    np.save(_FOLDER / "images.npy", pool.images)
    np.save(_FOLDER / "indices.npy", pool.indices)
    log(f"pool: {POOL_SIZE} covers drawn")


def training_pool() -> Pool:
    """The training pool, memory-mapped; drawn first if need be."""
    prepare()
    return Pool(
        images=np.load(_FOLDER / "images.npy", mmap_mode="r", allow_pickle=False),
        indices=np.load(_FOLDER / "indices.npy", allow_pickle=False),
    )


def held_out_pool(count: int) -> Pool:
    """Covers drawn with seeds that training never uses."""
    return draw_pool(count, HELD_OUT_SEED)


def pixels(images: NDArray[np.uint8]) -> Tensor:
    """uint8 (B, H, W, 3) to float (B, 3, H, W) in 0 to 1, on the device."""
    return torch.from_numpy(np.array(images)).to(device()).permute(0, 3, 1, 2).contiguous().float() / 255


def is_held_out(text: str) -> bool:
    """Whether a text belongs to the tenth that is never trained on."""
    return stable_hash(text) % 10 == 0


def _write(kind: str, indices: tuple[int, ...], rng: np.random.Generator) -> Text:
    attributes = attributes_from_indices(indices)
    if kind == "title":
        mood = MOODS[int(rng.integers(len(MOODS)))]
        return Text(text=make_title(attributes.subject, mood, rng), said=(True, False, False, False, False))
    clauses = CLAUSES if kind == "caption" else random_clauses(rng)
    return Text(text=caption(attributes, rng, clauses), said=tuple(name in clauses for name in CLAUSES))


def text_for(kind: str, indices: NDArray[np.int64], rng: np.random.Generator, *, held_out: bool = False) -> Text:
    """A ``caption``, ``partial`` caption or ``title`` for a cover, from the wanted side of the split; ``null`` says nothing."""
    if kind == "null":
        return Text(text="", said=(False,) * 5)
    key = tuple(int(index) for index in indices)
    for _ in range(200):
        text = _write(kind, key, rng)
        if is_held_out(text.text) == held_out:
            break
    return text


def texts_for(mix: dict[str, float], indices: NDArray[np.int64], rng: np.random.Generator) -> list[Text]:
    """One training text per row of indices (B, 5), its kind drawn with the probabilities of ``mix``."""
    kinds = rng.choice(list(mix), size=len(indices), p=list(mix.values()))
    return [text_for(str(kind), row, rng) for kind, row in zip(kinds, indices, strict=True)]


def title_subjects(count: int, seed: int) -> tuple[list[str], NDArray[np.int64]]:
    """Held-out titles and the index of each one's subject."""
    rng = np.random.default_rng((HELD_OUT_SEED, seed))
    subjects = rng.integers(len(SUBJECTS), size=count)
    rows = np.zeros((count, 5), dtype=np.int64)
    rows[:, 0] = subjects
    return [text_for("title", row, rng, held_out=True).text for row in rows], subjects
