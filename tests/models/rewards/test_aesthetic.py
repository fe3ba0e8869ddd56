import json

import pytest
import safetensors.torch
import torch

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.models.rewards.aesthetic import aesthetic_reward
from icg_tasks.models.rewards.aesthetic_head import AestheticHead
from icg_tasks.models.rewards.context import RewardContext, RewardModels
from tests.models.rewards.tiny_judges import by_hand, make_head


def test_damage_costs_points(images, context):
    torch.manual_seed(0)
    noisy = (images + 0.25 * torch.randn_like(images)).clamp(0, 1)
    with torch.no_grad():
        clean, ruined = aesthetic_reward(images, context), aesthetic_reward(noisy, context)
    assert (clean - ruined).min() > 1.0
    assert 1.0 < clean.min() < clean.max() < 11.0


def test_it_is_the_head_of_the_zoo_on_shallow_statistics(images, context, zoo):
    config = json.loads((zoo / "aesthetic" / "config.json").read_text())
    weights = {
        name: value.float() for name, value in safetensors.torch.load_file(zoo / "aesthetic" / "model.safetensors").items()
    }
    with torch.no_grad():
        seen = context.models.encoder.patch_statistics(images, config["feature_layer"])
        hidden = torch.nn.functional.gelu(seen @ weights["0.weight"].T + weights["0.bias"])
        expected = (hidden @ weights["2.weight"].T + weights["2.bias"])[:, 0]
        torch.testing.assert_close(aesthetic_reward(images, context), expected, atol=1e-4, rtol=1e-4)


def public_predictor(folder, width, seed=0):
    """The public predictor's shape: linear layers, no activation, dropout between (which leaves holes in the numbers)."""
    torch.manual_seed(seed)
    sizes, numbers = [width, 32, 16, 1], [0, 2, 4]
    tensors = {}
    for number, fan_in, fan_out in zip(numbers, sizes, sizes[1:], strict=False):
        tensors[f"layers.{number}.weight"] = torch.randn(fan_out, fan_in)
        tensors[f"layers.{number}.bias"] = torch.randn(fan_out)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    return tensors


def test_the_public_predictors_shape_reads_the_final_embedding(tmp_path, images, context):
    tensors = public_predictor(tmp_path, context.models.encoder.embedding_width)
    head = AestheticHead.load(tmp_path)
    head.check_fits(context.models.encoder)
    other = RewardContext(
        models=RewardModels(encoder=context.models.encoder, aesthetic=head),
        title_vectors=context.title_vectors,
        user_vectors=context.user_vectors,
    )
    with torch.no_grad():
        found = context.models.encoder.embed_images(images)
        for number in (0, 2, 4):
            found = found @ tensors[f"layers.{number}.weight"].T + tensors[f"layers.{number}.bias"]
        torch.testing.assert_close(aesthetic_reward(images, other), found[:, 0])


def test_a_safetensors_file_of_the_public_shape_may_be_named_itself(tmp_path, images, context):
    width = context.models.encoder.embedding_width
    tensors = make_head(tmp_path / "sac_logos.safetensors", width)
    head = AestheticHead.load(tmp_path / "sac_logos.safetensors")
    head.check_fits(context.models.encoder)
    assert head.feature_layer is None
    with torch.no_grad():
        vectors = context.models.encoder.embed_images(images)
        torch.testing.assert_close(head.scores(vectors), by_hand(tensors, vectors), atol=1e-5, rtol=1e-5)


def test_a_head_that_is_not_there_is_missing_not_corrupt(tmp_path):
    with pytest.raises(DataMissing, match=r"expected model.safetensors there, or a safetensors file"):
        AestheticHead.load(tmp_path / "nothing.safetensors")


def test_a_head_for_other_features_is_refused(tmp_path, models):
    public_predictor(tmp_path, 7)
    with pytest.raises(DataCorrupt, match="takes 7 features"):
        AestheticHead.load(tmp_path).check_fits(models.encoder)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"layers.0.weight": torch.zeros(2, 3)},
        {"layers.0.weight": torch.zeros(2, 3), "layers.0.bias": torch.zeros(2)},
        {"layers.0.weight": torch.zeros(1, 3), "layers.0.bias": torch.zeros(5)},
        {"something.else": torch.zeros(1)},
    ],
)
def test_files_that_make_no_head_are_refused(tmp_path, tensors):
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(DataCorrupt, match="no usable aesthetic head"):
        AestheticHead.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(DataCorrupt, match="no usable aesthetic head"):
        AestheticHead.load(tmp_path)


def test_without_a_head_it_says_what_to_set(images, context):
    bare = RewardContext(
        models=RewardModels(encoder=context.models.encoder),
        title_vectors=context.title_vectors,
        user_vectors=context.user_vectors,
    )
    with pytest.raises(DataMissing, match="aesthetic_weight"):
        aesthetic_reward(images, bare)
