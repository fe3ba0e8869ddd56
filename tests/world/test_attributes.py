"""Attributes: refused when unknown, counted, and the same by index as by name."""

from __future__ import annotations

import numpy as np
import pytest

from icg_tasks.world import CoverAttributes, Look, UnknownAttributeError, all_looks, attributes_from_indices, sample_attributes
from icg_tasks.world.attributes import stable_hash


def test_unknown_values_are_named() -> None:
    with pytest.raises(UnknownAttributeError, match="palette is 'mud'"):
        Look(palette="mud", layout="full", texture="plain", density="sparse")
    with pytest.raises(UnknownAttributeError, match="subject is 'dragon'"):
        CoverAttributes(subject="dragon", look=all_looks()[0])


def test_indices_and_names_agree() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        attributes = sample_attributes(rng)
        assert attributes_from_indices(attributes.as_indices()) == attributes


def test_every_look_once() -> None:
    assert len(all_looks()) == len(set(all_looks())) == 8 * 4 * 4 * 2


def test_the_hash_is_the_same_everywhere() -> None:
    assert stable_hash("The Quiet Summit") == stable_hash("The Quiet Summit") != stable_hash("The Quiet Peak")
    assert stable_hash("") == 0
