"""The embedded world: covers drawn from attributes, and the words that go with them.

Knows the catalogue. Drawing needs numpy and Pillow only. Import what you need from here; nothing runs at import.
"""

from icg_tasks.world.attributes import (
    ATTRIBUTE_VALUES,
    DENSITIES,
    LAYOUTS,
    MOODS,
    PALETTES,
    SUBJECTS,
    TEXTURES,
    CoverAttributes,
    Look,
    UnknownAttributeError,
    all_looks,
    attributes_from_indices,
    sample_attributes,
)
from icg_tasks.world.catalogue import caption, random_clauses
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.titles import make_title

__all__ = [
    "ATTRIBUTE_VALUES",
    "DENSITIES",
    "LAYOUTS",
    "MOODS",
    "PALETTES",
    "SUBJECTS",
    "TEXTURES",
    "CoverAttributes",
    "Look",
    "UnknownAttributeError",
    "all_looks",
    "attributes_from_indices",
    "caption",
    "draw_cover",
    "make_title",
    "random_clauses",
    "sample_attributes",
]
