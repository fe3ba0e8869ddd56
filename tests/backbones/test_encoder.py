import json
import shutil

import pytest
import torch
from PIL import Image

from icg_tasks.backbones.checkpoint import checkpoint_folder, checkpoint_identity
from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.onnx_session import OnnxEncoder, open_onnx_encoder
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, IcgError
from tests.features.tiny_encoder import make_encoder

TEXTS = ["the quiet moon", "sea of the tree", "moon " * 30]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder):
    return DualEncoder.load(str(folder))


def test_images_and_texts_become_unit_vectors_of_one_width(encoder):
    pixels = torch.rand(2, 3, 24, 20, requires_grad=True)
    vectors = encoder.embed_images(pixels)
    assert vectors.shape == encoder.embed_texts(TEXTS[:2]).shape == (2, encoder.embedding_width) == (2, 8)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1, 1])
    vectors[:, 0].sum().backward()
    assert pixels.grad.abs().sum() > 0
    assert all(not parameter.requires_grad for parameter in encoder.model.parameters())


def test_pil_images_and_pixels_agree(encoder):
    image = Image.new("RGB", (32, 16), (200, 30, 90))
    from_pil = encoder.embed_pixel_values(encoder.preprocess_pil([image, image]))
    pixels = torch.tensor([200, 30, 90]).view(1, 3, 1, 1).expand(1, 3, 16, 32) / 255
    assert torch.allclose(from_pil, encoder.embed_images(pixels).expand(2, -1), atol=1e-5)


def test_long_texts_are_cut_to_the_context(encoder):
    ids = encoder.tokenize(TEXTS)
    assert ids.shape == (3, encoder.context) == (3, 10)
    states, pooled = encoder.text_states(TEXTS)
    assert states.shape == (3, 10, 16)
    assert torch.allclose(encoder.embed_texts(TEXTS), torch.nn.functional.normalize(pooled, dim=1))


def test_patch_states_of_a_shallow_layer_leave_the_class_token_out(encoder):
    pixels = torch.rand(2, 3, 16, 16)
    vectors, states = encoder.image_outputs(pixels, 2)
    assert states.shape == (2, 16, 16)
    assert torch.equal(vectors, encoder.embed_images(pixels))
    full = encoder.model.vision_model(pixel_values=encoder.preprocessing.apply(pixels), output_hidden_states=True)
    assert torch.equal(states, full.hidden_states[2][:, 1:])
    assert torch.allclose(encoder.patch_statistics(pixels), torch.cat([states.mean(1), states.std(1)], dim=1))


def test_identity_is_of_the_content(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert checkpoint_identity(copy) == checkpoint_identity(folder)
    (copy / "notes.md").write_text("says nothing")
    assert checkpoint_identity(copy) == checkpoint_identity(folder)
    config = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps(config | {"image_mean": [0.1] * 3}))
    assert checkpoint_identity(copy) != checkpoint_identity(folder)


def test_only_safetensors_and_only_dual_encoders(folder, tmp_path):
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(DataMissing, match="safetensors"):
        DualEncoder.load(str(pickled))
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(DataCorrupt, match="no dual encoder"):
        DualEncoder.load(str(other))


@pytest.mark.parametrize("name", ["no/such-checkpoint", "../nowhere at all", "/no/such/folder"])
def test_a_missing_checkpoint_says_what_to_name(name):
    with pytest.raises(DataMissing, match="name a folder, or a hub id"):
        checkpoint_folder(name)


def test_siglip_loads_by_the_same_door(folder, tmp_path):
    from transformers import SiglipConfig, SiglipModel

    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config={**tower, "vocab_size": 40, "max_position_embeddings": 6, "projection_size": 16},
        vision_config={**tower, "image_size": 16, "patch_size": 4},
    )
    other = shutil.copytree(folder, tmp_path / "siglip")
    SiglipModel(config).save_pretrained(other)
    (other / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 16, "width": 16}, "resample": 3}))
    encoder = DualEncoder.load(str(other))
    assert encoder.embed_images(torch.rand(1, 3, 9, 30)).shape == encoder.embed_texts(["sea"]).shape == (1, 16)
    assert encoder.image_outputs(torch.rand(1, 3, 16, 16), 1)[1].shape == (1, 16, 16)


@pytest.fixture(scope="module")
def session(encoder, tmp_path_factory):
    return open_onnx_encoder(encoder, tmp_path_factory.mktemp("onnx"), device="cpu")


def test_onnx_equals_torch_whatever_the_batch(encoder, session):
    assert session.provider == "CPUExecutionProvider"
    values = encoder.preprocessing.apply(torch.rand(40, 3, 16, 16))
    assert session.parity(encoder, values, TEXTS) < 1e-5
    whole = session.embed_pixel_values(values.numpy())
    assert (session.embed_pixel_values(values[33:35].numpy()) == whole[33:35]).all()
    assert session.embed_pixel_values(values[:0].numpy()).shape[0] == 0


def test_onnx_that_differs_is_refused(encoder, session):
    swapped = OnnxEncoder(image=session.image, text=session.text, provider="test")
    stranger = torch.rand(4, 3, 16, 16)
    encoder_values = encoder.preprocessing.apply(stranger)
    wrong = _Shifted(swapped.image)
    with pytest.raises(IcgError, match="differs from torch"):
        OnnxEncoder(image=wrong, text=session.text, provider="test").parity(encoder, encoder_values, TEXTS)


class _Shifted:
    """A session whose vectors are off by more than rounding."""

    def __init__(self, session):
        self.session = session
        self.get_outputs = session.get_outputs

    def run(self, names, feed):
        return [found + 0.002 for found in self.session.run(names, feed)]
