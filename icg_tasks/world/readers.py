"""Who lives in the embedded world: latent tastes in topics and looks, from ten archetypes with unequal shares.

A user is mostly one archetype, partly another, plus something of their own. Looks are centred over the population: what one
likes another dislikes, so no look is best for everybody. Knows nothing of clicks, days or files. All tastes are in logits.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.world.attributes import DENSITIES, LAYOUTS, MOODS, PALETTES, SUBJECTS, TEXTURES
from icg_tasks.world.chance import stream

ARCHETYPES: Final = 10
SHARES: Final = np.array([1.0 / (1 + rank) ** 0.85 for rank in range(ARCHETYPES)])
LOOK_GROUPS: Final = ((len(PALETTES), 0.44), (len(LAYOUTS), 0.22), (len(TEXTURES), 0.20), (len(DENSITIES), 0.14))
"""Values and share of the look's variance of palette, layout, texture, density."""
LOOK_SIZE: Final = sum(size for size, _ in LOOK_GROUPS)
LOOK_SCALE, LOOK_OWN, LOOK_COMMON = 0.92, 0.34, 0.08
TOPIC_SCALE, TOPIC_OWN = 0.72, 0.34
MOOD_SCALE: Final = 0.18
FITTING: Final = {"rocket": "neon", "sailboat": "ocean", "tree": "forest", "heart": "ruby", "mountain": "sepia",
                  "flower": "pastel", "moon": "mono", "cup": "sunset"}  # fmt: skip
"""Palettes that go with a topic for the archetypes whose taste in topic and look hang together."""
_BLOCK: Final = 1024

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Readers:
    """Tastes of consecutive users, one row each; row 0 is user number ``first``."""

    first: int
    archetype_U: NDArray[np.int64]
    topic_US: FloatArray
    mood_UM: FloatArray
    look_UL: FloatArray  # over palettes, layouts, textures, densities, in the order of ATTRIBUTE_VALUES
    leniency_U: FloatArray  # clicks more or less on anything
    activity_U: FloatArray  # relative number of page views

    def __len__(self) -> int:
        return len(self.archetype_U)


@dataclass(frozen=True, kw_only=True)
class Archetypes:
    """Mean tastes of the ten kinds of user and the share of each."""

    share_K: NDArray[np.float64]
    topic_KS: NDArray[np.float64]
    mood_KM: NDArray[np.float64]
    look_KL: NDArray[np.float64]


def reader_name(number: int) -> str:
    """The raw user id of a user number.

    >>> reader_name(588_123)
    'u-0588123'
    """
    return f"u-{number:07d}"


def archetypes(seed: int) -> Archetypes:
    """The ten archetypes of a seed: topics and looks of unit variance over the catalogue, looks centred over the population."""
    rng = stream(seed, "archetypes")
    share = SHARES / SHARES.sum()
    favourites = rng.permutation(len(SUBJECTS))[:ARCHETYPES]
    topic = rng.normal(size=(ARCHETYPES, len(SUBJECTS))) * 0.55
    topic[np.arange(ARCHETYPES), favourites] += 2.2
    topic[np.arange(ARCHETYPES), np.roll(favourites, 3)] += 1.2
    mood = rng.normal(size=(ARCHETYPES, len(MOODS)))
    look = _centred_looks(_raw_looks(rng, favourites), share)
    look += LOOK_COMMON * _unit_groups(rng.normal(size=(1, LOOK_SIZE)))
    return Archetypes(share_K=share, topic_KS=_unit(topic), mood_KM=_unit(mood), look_KL=look)


def readers(seed: int, start: int, stop: int) -> Readers:
    """Users number ``start`` up to, not including, ``stop`` (0 <= start < stop); a user is the same in any range."""
    kinds = archetypes(seed)
    blocks = [_block(seed, kinds, number) for number in range(start // _BLOCK, (stop - 1) // _BLOCK + 1)]
    skip = start - blocks[0].first
    columns = {
        entry.name: np.concatenate([getattr(block, entry.name) for block in blocks])[skip : skip + stop - start]
        for entry in fields(Readers)
        if entry.name != "first"
    }
    return Readers(first=start, **columns)


def _block(seed: int, kinds: Archetypes, number: int) -> Readers:
    rng = stream(seed, "readers", number)
    main = rng.choice(ARCHETYPES, size=_BLOCK, p=kinds.share_K)
    other = rng.choice(ARCHETYPES, size=_BLOCK, p=kinds.share_K)
    weight = rng.beta(9.0, 1.6, size=_BLOCK)[:, None]
    norm = np.sqrt(weight**2 + (1 - weight) ** 2)

    def mixed(taste_KT: NDArray[np.float64]) -> NDArray[np.float64]:
        return (weight * taste_KT[main] + (1 - weight) * taste_KT[other]) / norm

    topic = TOPIC_SCALE * mixed(kinds.topic_KS) + TOPIC_OWN * rng.normal(size=(_BLOCK, len(SUBJECTS)))
    look = LOOK_SCALE * mixed(kinds.look_KL) + LOOK_OWN * _unit_groups(rng.normal(size=(_BLOCK, LOOK_SIZE)))
    mood = MOOD_SCALE * mixed(kinds.mood_KM)
    return Readers(
        first=number * _BLOCK,
        archetype_U=main,
        topic_US=topic.astype(np.float32),
        mood_UM=mood.astype(np.float32),
        look_UL=look.astype(np.float32),
        leniency_U=rng.normal(scale=0.2, size=_BLOCK).astype(np.float32),
        activity_U=rng.lognormal(sigma=0.5, size=_BLOCK).astype(np.float32),
    )


def _raw_looks(rng: np.random.Generator, favourites: NDArray[np.int64]) -> NDArray[np.float64]:
    """One liked and one disliked value per group and archetype; half of the liked palettes fit the archetype's topic."""
    look = rng.normal(size=(ARCHETYPES, LOOK_SIZE)) * 0.45
    start = 0
    for size, _ in LOOK_GROUPS:
        liked = np.concatenate([rng.permutation(size) for _ in range(-(-ARCHETYPES // size))])[:ARCHETYPES]
        if start == 0:
            fitting = [FITTING.get(SUBJECTS[subject]) for subject in favourites]
            liked = np.array(
                [
                    PALETTES.index(name) if name and rank % 2 else own
                    for rank, (name, own) in enumerate(zip(fitting, liked, strict=True))
                ]
            )
        disliked = (liked + rng.integers(1, size, size=ARCHETYPES)) % size
        look[np.arange(ARCHETYPES), start + liked] += 2.0
        look[np.arange(ARCHETYPES), start + disliked] -= 0.8
        start += size
    return look


def _centred_looks(look_KL: NDArray[np.float64], share_K: NDArray[np.float64]) -> NDArray[np.float64]:
    """Repeated centring over the population and scaling to unit variance: both hold nearly, centring exactly."""
    for _ in range(30):
        look_KL = _unit_groups(look_KL)
        look_KL = look_KL - share_K @ look_KL
    return look_KL


def _unit_groups(look_KL: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each group centred over its values and scaled to its share of a variance of one over all looks."""
    parts, start = [], 0
    for size, share in LOOK_GROUPS:
        parts.append(_unit(look_KL[:, start : start + size]) * np.sqrt(share))
        start += size
    return np.concatenate(parts, axis=1)


def _unit(taste_KT: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = taste_KT - taste_KT.mean(axis=1, keepdims=True)
    deviation: NDArray[np.float64] = centred.std(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(deviation, 1e-6))
