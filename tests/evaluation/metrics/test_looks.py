"""The number of distinct looks: planted looks are counted, noise is none, intervals hold the count."""

from pathlib import Path

import numpy as np
import pytest
import torch

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.evaluation.metrics.inputs import MetricInputError, as_pixels
from icg_tasks.evaluation.metrics.looks import distinct_looks, distinct_looks_row
from icg_tasks.evaluation.table import Resampling
from icg_tasks.world.attributes import CoverAttributes, Look
from icg_tasks.world.drawing import draw_cover

SUBJECTS = ("rocket", "cat", "sailboat", "flower", "house", "key")


def planted(look_of: list[int], strength: float, seed: int = 1, items: int = 20, candidates: int = 3) -> np.ndarray:
    """Item, look, and noise that all segments share, in 32 features."""
    rng = np.random.default_rng(seed)
    looks = strength * rng.normal(size=(max(look_of) + 1, 32))[look_of]
    item = 3 * rng.normal(size=(items, 1, 1, 32))
    noise = rng.normal(size=(items, 1, candidates, 32))
    return item + looks[None, :, None] + noise + 0.3 * rng.normal(size=(items, len(look_of), candidates, 32))


@pytest.mark.parametrize("look_of", [[0, 0, 0, 0], [0, 1, 2, 3], [0, 1, 0, 1], [0, 0, 0, 1]])
def test_planted_looks_are_counted(look_of: list[int]) -> None:
    found = distinct_looks(planted(look_of, strength=2.0))
    assert found.count == len(set(look_of))
    assert [[a == b for b in found.group_U] for a in found.group_U] == [[a == b for b in look_of] for a in look_of]


def test_a_difference_far_below_the_noise_is_no_look() -> None:
    assert distinct_looks(planted([0, 1, 2, 3], strength=0.02)).count == 1


def test_the_choice_is_a_guess_without_a_look_and_certain_with_one() -> None:
    told = distinct_looks(planted([0, 0, 1], strength=3.0)).told_apart_UU
    assert 0.25 < told[0, 1] < 0.75
    assert told[0, 2] == told[2, 0] > 0.99
    assert told.diagonal().tolist() == [0, 0, 0]


def test_the_same_cover_for_everyone_is_one_look() -> None:
    features = np.repeat(planted([0], strength=1.0), 4, axis=1)
    found = distinct_looks(features)
    assert found.count == 1


def test_it_does_not_depend_on_the_scale_of_features() -> None:
    features = planted([0, 1, 0, 2], strength=1.0)
    assert np.allclose(distinct_looks(features).told_apart_UU, distinct_looks(1e-4 * features).told_apart_UU)


def test_the_interval_holds_the_count() -> None:
    row = distinct_looks_row(planted([0, 1, 0, 2], strength=2.0), Resampling.over(20, 50, seed=1))
    assert (row["low"], row["mean"], row["high"], row["n"]) == (3, 3, 3, 20)
    weak = distinct_looks_row(planted([0, 1, 2, 3], strength=0.17), Resampling.over(20, 50, seed=1))
    assert 1 <= weak["low"] <= weak["high"] <= 4
    assert weak["low"] < weak["high"]


def test_looks_of_drawn_covers_as_the_shipped_eye_sees_them() -> None:
    """Six segments of four true looks, six subjects, two draws of each."""
    torch.set_num_threads(1)
    looks = [
        Look(palette="ocean", layout="full", texture="plain", density="sparse"),
        Look(palette="sunset", layout="full", texture="plain", density="sparse"),
        Look(palette="ocean", layout="full", texture="dots", density="dense"),
        Look(palette="forest", layout="frame", texture="dots", density="dense"),
    ]
    look_of = [0, 1, 2, 3, 0, 1]
    rows = [
        draw_cover(CoverAttributes(subject=subject, look=looks[look]), seed=100 * item + 10 * segment + draw)
        for item, subject in enumerate(SUBJECTS)
        for segment, look in enumerate(look_of)
        for draw in range(2)
    ]
    encoder = DualEncoder.load(str(Path(__file__).resolve().parents[3] / "zoo" / "dual_encoder"))
    with torch.no_grad():
        seen = torch.cat([encoder.embed_images(part) for part in as_pixels(np.stack(rows)).split(24)])
    found = distinct_looks(seen.view(len(SUBJECTS), len(look_of), 2, -1).numpy())
    assert found.count == 4
    assert found.group_U[4:] == found.group_U[:2]


@pytest.mark.parametrize("shape", [(1, 3, 2, 4), (3, 1, 2, 4), (3, 3, 1, 4), (3, 3, 4)])
def test_two_or_more_of_everything(shape: tuple[int, ...]) -> None:
    with pytest.raises(MetricInputError, match="2 or more each"):
        distinct_looks(np.zeros(shape))
