"""Copying: the nearest cover, a threshold from real near-duplicates, what it makes of copies and of originals."""

import numpy as np
import pytest
import torch

from icg_tasks.evaluation.metrics.copying import are_copies, copy_threshold, edited_copies, nearest_cover
from icg_tasks.evaluation.metrics.encoder_tower import EncoderTower
from icg_tasks.evaluation.metrics.inputs import MetricInputError
from icg_tasks.evaluation.metrics.tower import Tower, tower_features
from icg_tasks.evaluation.world_judge import ClassifierTower
from icg_tasks.world.attributes import CoverAttributes, all_looks
from icg_tasks.world.drawing import draw_cover

SUBJECTS = ("rocket", "cat", "sailboat", "flower", "house", "key")


@pytest.fixture(scope="module", params=[EncoderTower, ClassifierTower])
def tower(request: pytest.FixtureRequest) -> Tower:
    """Either kind: copies are told by each."""
    torch.set_num_threads(1)
    found: Tower = request.param.load("zoo:dual_encoder" if request.param is EncoderTower else "zoo:judge", "cpu")
    return found


@pytest.fixture(scope="module")
def covers() -> np.ndarray:
    """36 catalogue covers, each its own subject and look, uint8 (36, 64, 64, 3)."""
    looks = all_looks()
    wanted = [(SUBJECTS[number % 6], looks[(number * 29) % len(looks)]) for number in range(36)]
    return np.stack(
        [draw_cover(CoverAttributes(subject=subject, look=look), seed=row) for row, (subject, look) in enumerate(wanted)]
    )


def features(tower: Tower, images: np.ndarray) -> np.ndarray:
    return np.asarray(tower_features(tower, images))


def test_the_nearest_cover_and_how_near() -> None:
    catalogue = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    cosine, place = nearest_cover(np.array([[5.0, 0.0], [3.0, 4.0], [-1.0, 0.0]]), catalogue)
    assert cosine.tolist() == pytest.approx([1.0, 0.8, 1.0])
    assert place.tolist() == [0, 1, 2]
    cosine, place = nearest_cover(np.array([[5.0, 0.0], [3.0, 4.0]]), catalogue, own_P=[0, 1])
    assert cosine.tolist() == pytest.approx([0.0, 0.6])
    assert place.tolist() == [1, 0]


def test_copies_are_found_and_originals_are_not(tower: Tower, covers: np.ndarray) -> None:
    catalogue = features(tower, covers[:30])
    threshold = copy_threshold(catalogue, features(tower, edited_copies(covers[:30], seed=1)))
    assert threshold.num_covers == 30
    assert 0.5 < threshold.cosine < 1.0
    again, _ = nearest_cover(features(tower, edited_copies(covers[:30], seed=2)), catalogue)
    assert are_copies(again, threshold).mean() >= 0.8
    original, _ = nearest_cover(features(tower, covers[30:]), catalogue)
    assert are_copies(original, threshold).mean() <= 0.2
    assert threshold.look_alikes <= 0.2


def test_repeats_in_the_catalogue_are_told() -> None:
    rng = np.random.default_rng(1)
    catalogue = rng.normal(size=(20, 16))
    edited = catalogue + 0.05 * rng.normal(size=catalogue.shape)
    assert copy_threshold(catalogue, edited).look_alikes == 0.0
    repeated = np.concatenate([catalogue[:10], catalogue[:10]])
    assert copy_threshold(repeated, repeated + 0.05 * rng.normal(size=repeated.shape)).look_alikes == 1.0


def test_edits_are_slight_and_depend_on_the_seed_alone(covers: np.ndarray) -> None:
    edited = edited_copies(covers[:4], seed=3)
    assert (edited == edited_copies(covers[:4], seed=3)).all()
    assert (edited != edited_copies(covers[:4], seed=4)).any()
    apart = np.abs(edited.astype(int) - covers[:4]).mean(axis=(1, 2, 3))
    other = np.abs(covers[1:5].astype(int) - covers[:4]).mean(axis=(1, 2, 3))
    assert (apart > 0.5).all()
    assert (apart < 0.5 * other).all()


def test_what_does_not_belong_together_is_refused() -> None:
    some = np.eye(3)
    with pytest.raises(MetricInputError, match="1 own covers for 2 made ones, 3 in the catalogue"):
        nearest_cover(some[:2], some, own_P=[0])
    with pytest.raises(MetricInputError, match="expected one of each"):
        copy_threshold(some, some[:2])
    with pytest.raises(MetricInputError, match="expected uint8"):
        edited_copies(np.zeros((1, 8, 8, 3)), seed=1)  # type: ignore[arg-type]
