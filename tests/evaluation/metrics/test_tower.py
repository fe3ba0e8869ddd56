"""Tower distance: its formula written out, symmetry, order, refusals."""

import numpy as np
import pytest
import torch

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.evaluation.metrics.encoder_tower import EncoderTower
from icg_tasks.evaluation.metrics.inputs import MetricInputError
from icg_tasks.evaluation.metrics.tower import tower_distance, tower_features
from tests.models.rewards.tiny_judges import make_clip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    torch.set_num_threads(1)
    return DualEncoder.load(str(make_clip(tmp_path_factory.mktemp("clip"))))


@pytest.fixture(scope="module")
def tower(encoder: DualEncoder) -> EncoderTower:
    return EncoderTower(encoder, "tiny")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_it_is_the_published_form_layer_by_layer(encoder: DualEncoder, tower: EncoderTower, images: torch.Tensor) -> None:
    other = images.flip(0)
    expected = []
    for layer in (1, 3):
        with torch.no_grad():
            one, two = (encoder.hidden_image_states(part, layer) for part in (images, other))
        one, two = one / one.norm(dim=-1, keepdim=True), two / two.norm(dim=-1, keepdim=True)
        expected.append(((one - two) ** 2).sum(-1).mean(1).numpy())
    assert tower_distance(tower, images, other, layers=[1, 3]) == pytest.approx(np.mean(expected, axis=0), abs=1e-6)


def test_nothing_to_itself_symmetric_and_growing_with_noise(tower: EncoderTower, images: torch.Tensor) -> None:
    assert tower_distance(tower, images, images) == pytest.approx([0, 0, 0], abs=1e-9)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    found = [tower_distance(tower, images, (images + size * noise).clamp(0, 1)) for size in (0.02, 0.1, 0.4)]
    assert (np.diff(found, axis=0) > 0).all()
    assert (np.array(found) <= 4).all()
    back = tower_distance(tower, (images + 0.1 * noise).clamp(0, 1), images)
    assert back == pytest.approx(found[1])


def test_sizes_may_differ_since_the_encoder_has_its_own(tower: EncoderTower, images: torch.Tensor) -> None:
    larger = images.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    assert (tower_distance(tower, images, larger) < tower_distance(tower, images, images.flip(0))[0]).all()


def test_what_cannot_be_compared_is_refused(tower: EncoderTower, images: torch.Tensor) -> None:
    with pytest.raises(MetricInputError, match="3 images against 2"):
        tower_distance(tower, images, images[:2])
    for layers in ([9], [0], []):
        with pytest.raises(MetricInputError, match="layers 1 to 3; name some of those"):
            tower_distance(tower, images, images, layers=layers)


def test_cosines_of_the_features_say_what_the_distance_says(tower: EncoderTower, images: torch.Tensor) -> None:
    features = tower_features(tower, images, batch_size=2)
    assert features.shape == (3, 16 * 16)
    assert np.linalg.norm(features, axis=1) == pytest.approx([1, 1, 1])
    distance = tower_distance(tower, images, images.flip(0), layers=[3])
    assert 1 - (features * features[::-1]).sum(axis=1) == pytest.approx(distance / 2, abs=1e-5)
    assert np.abs(tower_features(tower, images, layer=1) - features).max() > 0.01


def test_vectors_are_the_encoders_own(encoder: DualEncoder, tower: EncoderTower, images: torch.Tensor) -> None:
    assert torch.allclose(tower.see(images).vectors_BE, encoder.embed_images(images), atol=1e-6)


def test_a_fine_grid_is_pooled_to_eight_by_eight() -> None:
    from transformers import CLIPConfig, CLIPModel

    from icg_tasks.backbones.images import Preprocessing

    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**tower, "image_size": 40, "patch_size": 4}
    text = {**tower, "vocab_size": 40, "max_position_embeddings": 10}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    config = {"size": {"height": 40, "width": 40}, "resample": 3}
    encoder = DualEncoder(model, None, Preprocessing.from_config(config), "test")
    features = tower_features(EncoderTower(encoder, "tiny"), torch.rand(2, 3, 40, 40))
    assert features.shape == (2, 8 * 8 * 16)
    assert np.linalg.norm(features, axis=1) == pytest.approx([1, 1])
