"""Which rewards settings ask for, and checkpoints that are not what their reward needs."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch

from icg_tasks.config import load_settings
from icg_tasks.config.settings import AdapterSettings, BackboneSettings
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError
from icg_tasks.models.rewards.chosen import open_judges, reward_weights
from icg_tasks.models.rewards.table import REWARDS
from tests.models.rewards.tiny_judges import make_blip, make_clip, make_head, make_siglip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def copy(clip: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clip, tmp_path / "copy"))


def opened(name: str, checkpoint: Path | str) -> object:
    return open_judges(BackboneSettings(judges=f"{name}={checkpoint}"), [name])


def test_the_three_have_settings_of_their_own_and_more_can_be_named() -> None:
    assert reward_weights(AdapterSettings()) == {"preference": 2.0, "relevance": 0.5, "aesthetic": 0.2}
    found = reward_weights(AdapterSettings(aesthetic_weight=0.0, more_rewards="hps=0.25, pickscore=0.5,imagereward=0"))
    assert found == {"preference": 2.0, "relevance": 0.5, "pickscore": 0.5, "hps": 0.25}
    assert list(found) == [name for name in REWARDS if name in found]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beauty=1", "no reward 'beauty'; there are: .*pickscore"),
        ("aesthetic=1", "set adapter.aesthetic_weight=1"),
        ("pickscore", "expected NAME=VALUE"),
        ("pickscore=much", "expected a number, 0 or more"),
        ("pickscore=-1", "expected a number, 0 or more"),
        ("pickscore=nan", "expected a number, 0 or more"),
        ("pickscore=1,pickscore=2", "is there twice"),
    ],
)
def test_what_cannot_be_a_reward_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        reward_weights(AdapterSettings(more_rewards=text))


def test_both_settings_can_be_given_on_the_command_line(clip: Path) -> None:
    settings = load_settings("tiny", ["adapter.more_rewards=hps=0.5", f"backbones.judges=hps={clip}"])
    assert list(open_judges(settings.backbones, reward_weights(settings.adapter))) == ["hps"]


def test_judges_of_rewards_that_are_not_in_use_are_not_loaded() -> None:
    assert open_judges(BackboneSettings(judges="pickscore=/no/such/folder"), ["relevance", "preference"]) == {}


def test_a_reward_in_use_without_checkpoint_and_a_checkpoint_without_reward() -> None:
    with pytest.raises(SettingsError, match=r"reward hps is in use and has no checkpoint; name it: backbones.judges=hps="):
        open_judges(BackboneSettings(), ["hps"])
    with pytest.raises(SettingsError, match=r"'relevance' is no reward with a judge of its own; those are: .*pickscore"):
        open_judges(BackboneSettings(judges="relevance=/somewhere"), [])


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="is no local folder, and no hub id"):
        opened("pickscore", tmp_path / "nowhere")
    with pytest.raises(DataMissing, match="expected a checkpoint of model_type clip"):
        opened("pickscore", tmp_path)


def test_another_family_is_named(clip: Path, tmp_path: Path) -> None:
    siglip, blip = make_siglip(tmp_path / "siglip"), make_blip(tmp_path / "blip")
    with pytest.raises(DataCorrupt, match="expected a checkpoint of model_type clip, found siglip"):
        opened("pickscore", siglip)
    with pytest.raises(DataCorrupt, match="expected a checkpoint of model_type clip or siglip, found blip"):
        opened("title_match", blip)
    make_head(tmp_path / "head.safetensors", 16)
    with pytest.raises(DataCorrupt, match="expected a checkpoint of model_type blip, found clip"):
        opened("imagereward", f"{clip}+{tmp_path / 'head.safetensors'}")


def test_pickled_and_damaged_weights(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(DataMissing, match="expected safetensors weights, found pickled weights only"):
        opened("hps", copy)
    (copy / "model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(DataCorrupt, match="expected the weights of CLIPModel, found others"):
        opened("hps", copy)


def test_weights_of_another_shape_or_left_out(copy: Path) -> None:
    weights = safetensors.torch.load_file(copy / "model.safetensors")
    less = {name: value for name, value in weights.items() if name != "logit_scale"}
    safetensors.torch.save_file(less, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataCorrupt, match=r"1 of them missing \(logit_scale\)"):
        opened("pickscore", copy)
    other = weights | {"visual_projection.weight": weights["visual_projection.weight"][:4].clone()}
    safetensors.torch.save_file(other, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataCorrupt, match="expected the weights of CLIPModel, found others"):
        opened("pickscore", copy)


def test_an_image_processor_that_cannot_be_reproduced(copy: Path) -> None:
    path = copy / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resample": 5}))
    with pytest.raises(DataCorrupt, match=r"preprocessor_config.json: cannot be used"):
        opened("hps", copy)


def test_heads_that_are_not_there_or_of_another_shape(clip: Path, tmp_path: Path) -> None:
    file = tmp_path / "head.safetensors"
    with pytest.raises(DataMissing, match=r"expected CHECKPOINT\+HEAD.safetensors"):
        opened("public_aesthetic", clip)
    with pytest.raises(DataMissing, match=r"expected a score head .*, found none"):
        opened("public_aesthetic", f"{clip}+{file}")
    make_head(file, 16)
    with pytest.raises(DataCorrupt, match=r"expected layers.0.weight of shape \(1024, 8\), found \(1024, 16\)"):
        opened("public_aesthetic", f"{clip}+{file}")
    tensors = make_head(file, 8)
    safetensors.torch.save_file(tensors | {"layers.9.bias": tensors["layers.0.bias"].clone()}, file)
    with pytest.raises(DataCorrupt, match=r"expected 10 tensors, found also layers.9.bias"):
        opened("public_aesthetic", f"{clip}+{file}")
    file.write_bytes(b"\x80\x04pickle")
    with pytest.raises(DataCorrupt, match="expected safetensors, found something else"):
        opened("public_aesthetic", f"{clip}+{file}")
