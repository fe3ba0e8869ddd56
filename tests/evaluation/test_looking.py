"""Image metrics of pairs by a small untrained tower: each image is seen once and judged against its own item's cover."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.arms import HeldOutItem, Segment
from icg_tasks.evaluation.catalogue_seen import CatalogueSeen, at_side
from icg_tasks.evaluation.judged import JudgedPairs, Pair
from icg_tasks.evaluation.looking import Looked, compared_side, look
from icg_tasks.evaluation.making import ItemImages, Scored
from icg_tasks.evaluation.metrics.copying import CopyThreshold
from icg_tasks.evaluation.metrics.inputs import as_pixels
from icg_tasks.evaluation.metrics.tower import sight_distance, sight_features, tower_distance
from icg_tasks.evaluation.world_judge import ClassifierTower
from icg_tasks.world.eye import AttributeClassifier, EyeConfig

SIDE = 32


@pytest.fixture(scope="module")
def tower() -> ClassifierTower:
    torch.manual_seed(1)
    return ClassifierTower(AttributeClassifier(EyeConfig(width=4, stages=2, image_size=SIDE)).eval(), "tiny")


def image(seed: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(side, side, 3)).astype(np.uint8)


def scored(pixels: np.ndarray) -> Scored:
    return Scored(image=pixels, vector=np.ones(2, dtype=np.float32), relevance=0.0, aesthetic=0.0)


def pairs_of(item: int, own: np.ndarray, segments: int = 2) -> list[Pair]:
    made = ItemImages(
        item=HeldOutItem(item_id=f"item-{item}", title="t", image_bytes=b""),
        title_vector=np.ones(2, dtype=np.float32),
        own=scored(own),
        plain=[scored(image(1000 * item + n)) for n in range(2)],
        personal=[[scored(image(1000 * item + 100 * (row + 1) + n)) for n in range(2)] for row in range(segments)],
    )
    found = []
    for row in range(segments):
        segment = Segment(segment_id=f"s{row}", user_ids=["u"], vector=np.ones(4, dtype=np.float32))
        images = {names.OWN: own, names.PLAIN: made.plain[0].image, names.PERSONAL: made.personal[row][0].image}
        found.append(Pair(segment=segment, made=made, images=images, values={arm: {} for arm in images}))
    return found


@pytest.fixture
def judged() -> JudgedPairs:
    """Two items by two segments; the second item's own cover is larger than what is made."""
    found = JudgedPairs()
    found.pairs = [*pairs_of(1, image(1)), *pairs_of(2, image(2, side=96))]
    return found


def seen_catalogue(tower: ClassifierTower, covers: np.ndarray) -> CatalogueSeen:
    sight = tower.see(as_pixels(covers))
    threshold = CopyThreshold(cosine=0.999, look_alikes=0.0, num_covers=len(covers))
    return CatalogueSeen(vectors_NE=sight.vectors_BE.numpy(), patches_ND=sight_features(sight), threshold=threshold)


def test_every_arm_gets_its_values_and_vectors(tower: ClassifierTower, judged: JudgedPairs) -> None:
    copied = judged.pairs[1].images[names.PERSONAL]
    checks: list[int] = []
    looked = look(judged, tower, seen_catalogue(tower, np.stack([image(77), copied])), SIDE, lambda: checks.append(1))
    assert len(checks) == 2
    for pair in judged.pairs:
        assert pair.values[names.OWN][names.MS_SSIM] == pytest.approx(1.0)
        assert pair.values[names.OWN][names.TOWER_DISTANCE] == pytest.approx(0.0, abs=1e-6)
        own, mine = at_side(pair.made.own.image, SIDE)[None], pair.images[names.PERSONAL]
        expected = tower_distance(tower, mine[None], own)[0]
        assert pair.values[names.PERSONAL][names.TOWER_DISTANCE] == pytest.approx(expected, abs=1e-5)
        assert pair.values[names.PERSONAL][names.COPIES] == float(mine is copied)
        assert set(names.STATISTICS) <= pair.values[names.PERSONAL].keys()
    assert judged.pairs[1].values[names.PERSONAL][names.NEAREST] == pytest.approx(1.0, abs=1e-5)
    assert looked.vectors_IUE[names.OWN].shape[:2] == (2, 2)
    assert (looked.vectors_IUE[names.PLAIN][:, 0] == looked.vectors_IUE[names.PLAIN][:, 1]).all()
    assert {arm: several.shape[:3] for arm, several in looked.candidates_IUKE.items()} == {
        names.PLAIN: (2, 2, 2),
        names.PERSONAL: (2, 2, 2),
    }
    assert (looked.candidates_IUKE[names.PERSONAL][:, :, 0] == looked.vectors_IUE[names.PERSONAL]).all()


def test_without_a_catalogue_nothing_is_said_of_copying(tower: ClassifierTower, judged: JudgedPairs) -> None:
    look(judged, tower, None, SIDE, lambda: None)
    assert {names.NEAREST, names.COPIES}.isdisjoint(judged.pairs[0].values[names.PLAIN])
    assert names.MS_SSIM in judged.pairs[0].values[names.PLAIN]


def test_ideals_are_counted_only_where_every_pair_has_several(tower: ClassifierTower, judged: JudgedPairs) -> None:
    for pair in judged.pairs:
        pair.ideals.extend([image(5), image(6)])
    looked: Looked = look(judged, tower, None, SIDE, lambda: None)
    assert looked.candidates_IUKE[names.BEST].shape[:3] == (2, 2, 2)
    judged.pairs = [replace(pair, ideals=pair.ideals[: 1 + row]) for row, pair in enumerate(judged.pairs[:2])]
    assert names.BEST not in look(judged, tower, None, SIDE, lambda: None).candidates_IUKE


def test_a_batch_is_seen_as_single_images_are(tower: ClassifierTower) -> None:
    pixels = as_pixels(np.stack([image(seed) for seed in range(5)]))
    whole = tower.see(pixels)
    assert [tuple(layer.shape[1:]) for layer in whole.layers_BDHW] == [(4, 32, 32), (8, 16, 16), (16, 8, 8)]
    alone = tower.see(pixels[3:4])
    assert torch.allclose(whole.vectors_BE[3:4], alone.vectors_BE, atol=1e-6)
    assert sight_distance(whole, alone)[3] == pytest.approx(0.0, abs=1e-6)
    assert (np.delete(sight_distance(whole, alone), 3) > 0.01).all()


def test_large_covers_are_compared_at_256_pixels() -> None:
    assert [compared_side(side) for side in (64, 256, 1024)] == [64, 256, 256]
    wide = np.zeros((20, 80, 3), dtype=np.uint8)
    assert at_side(wide, 16).shape == (16, 16, 3)
    square = image(1, side=16)
    assert at_side(square, 16) is square
