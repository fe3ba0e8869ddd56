"""Covers: deterministic, sized as asked, telling attributes apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from icg_tasks.world import ATTRIBUTE_VALUES, CoverAttributes, Look, attributes_from_indices, draw_cover, sample_attributes

PLAIN_CAT = CoverAttributes(subject="cat", look=Look(palette="mono", layout="full", texture="plain", density="sparse"))


def test_the_same_seed_draws_the_same_bytes() -> None:
    np.testing.assert_array_equal(draw_cover(PLAIN_CAT, 3), draw_cover(PLAIN_CAT, 3))
    assert (draw_cover(PLAIN_CAT, 3) != draw_cover(PLAIN_CAT, 4)).any()


@pytest.mark.parametrize("size", [32, 64, 96, 256])
def test_size_is_a_parameter(size: int) -> None:
    cover = draw_cover(PLAIN_CAT, 0, size=size)
    assert cover.shape == (size, size, 3)
    assert cover.dtype == np.uint8


@pytest.mark.parametrize(("seed", "size"), [(-1, 64), (0, 8)])
def test_impossible_requests_are_refused(seed: int, size: int) -> None:
    with pytest.raises(ValueError, match="at least 16"):
        draw_cover(PLAIN_CAT, seed, size=size)


def test_every_value_of_every_attribute_changes_the_picture() -> None:
    compared = 0
    for column, values in enumerate(ATTRIBUTE_VALUES.values()):
        indices = [0, 0, 0, 0, 0]
        covers = []
        for value in range(len(values)):
            indices[column] = value
            covers.append(draw_cover(attributes_from_indices(tuple(indices)), 0).astype(float))
        for first in range(len(covers)):
            for other in range(first):
                assert np.abs(covers[first] - covers[other]).mean() > 2.0
                compared += 1
    assert compared == 66 + 28 + 6 + 6 + 1


def test_jitter_is_smaller_than_a_change_of_palette() -> None:
    ruby = replace(PLAIN_CAT, look=replace(PLAIN_CAT.look, palette="ruby"))
    own = [draw_cover(PLAIN_CAT, seed).astype(float) for seed in range(8)]
    jitter = max(float(np.abs(cover - own[0]).mean()) for cover in own[1:])
    assert jitter < 0.5 * float(np.abs(draw_cover(ruby, 0).astype(float) - own[0]).mean())


def test_the_emblem_stands_out_from_its_ground() -> None:
    rng = np.random.default_rng(5)
    for seed in range(64):
        grey = draw_cover(sample_attributes(rng), seed).astype(float).mean(axis=2)
        assert grey[12:52, 18:58].std() > 8.0
