"""Captions: a cover's attributes in words, in a few phrasings, with clauses that may be left out.

Does not know pixels. Run: ``caption(attributes, numpy.random.default_rng(1))``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from icg_tasks.world.attributes import CoverAttributes, UnknownAttributeError

CLAUSES: Final = ("subject", "palette", "layout", "texture", "density")

_WORDING: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "palette": {
        "any": ("in {value} colours", "{value} palette", "with the {value} palette"),
    },
    "layout": {
        "full": ("full layout", "filling the full cover", "full page"),
        "band": ("band layout", "above a title band", "with a band below"),
        "spine": ("spine layout", "beside a spine", "with a spine on the left"),
        "frame": ("frame layout", "inside a frame", "with a frame around"),
    },
    "texture": {
        "plain": ("plain background", "on plain ground", "no texture, plain"),
        "stripes": ("stripes background", "on stripes", "with stripes behind"),
        "dots": ("dots background", "on dots", "with dots behind"),
        "checks": ("checks background", "on checks", "with checks behind"),
    },
    "density": {
        "sparse": ("sparse", "sparse composition", "sparse, standing alone"),
        "dense": ("dense", "dense composition", "dense with sparkles"),
    },
}
_OPENINGS: Final = ("a cover of a {subject}", "{subject}", "a book cover with a {subject}", "a {subject}")


def _clause(name: str, value: str, rng: np.random.Generator) -> str:
    if name == "subject":
        return _OPENINGS[int(rng.integers(len(_OPENINGS)))].format(subject=value)
    wording = _WORDING[name]
    choices = wording.get(value) or wording["any"]
    return choices[int(rng.integers(len(choices)))].format(value=value)


def caption(attributes: CoverAttributes, rng: np.random.Generator, clauses: tuple[str, ...] = CLAUSES) -> str:
    """The cover in words: the subject first, then the look's clauses in random order.

    ``clauses`` names what is said; the rest is left out. Raises UnknownAttributeError on an unknown clause and ValueError if
    nothing is to be said.
    """
    unknown = sorted(set(clauses) - set(CLAUSES))
    if unknown:
        raise UnknownAttributeError(f"no clause named {', '.join(unknown)}; use {', '.join(CLAUSES)}")
    if not clauses:
        raise ValueError("a caption needs at least one clause")
    values = attributes.as_dict()
    look = [name for name in CLAUSES[1:] if name in clauses]
    ordered = [look[index] for index in rng.permutation(len(look)).tolist()]
    if "subject" in clauses:
        ordered.insert(0, "subject")
    return ", ".join(_clause(name, values[name], rng) for name in ordered)


def random_clauses(rng: np.random.Generator) -> tuple[str, ...]:
    """The subject and a random part of the look, for captions that leave something open."""
    return ("subject", *(name for name in CLAUSES[1:] if rng.random() < 0.5))
