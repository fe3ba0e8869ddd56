"""Opening a language model by name: what is refused, and that the refusal names what was expected and what was found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.language.prefix import PrefixReader
from icg_tasks.backbones.language.reading import LanguageModel
from icg_tasks.backbones.language.table import LANGUAGE_FAMILIES, open_language_model
from icg_tasks.config.settings import BackboneSettings
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError
from tests.backbones.language.tiny import TINY_LANGUAGE

Folder = Callable[[str], Path]


def opened(family: str, checkpoint: Path | str) -> LanguageModel:
    settings = BackboneSettings(device="cpu", precision="float32", language_family=family, language_model=str(checkpoint))
    return open_language_model(settings, choose_compute(settings))


@pytest.fixture
def copy(tiny_folder: Folder, tmp_path: Path) -> Path:
    """A smolvlm that a test may damage."""
    return Path(shutil.copytree(tiny_folder("smolvlm"), tmp_path / "smolvlm"))


def change_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("family", list(LANGUAGE_FAMILIES))
def test_another_familys_checkpoint_is_named_with_the_setting_that_fits(family: str, tiny_folder: Folder) -> None:
    families = list(LANGUAGE_FAMILIES)
    other = families[(families.index(family) + 1) % len(families)]
    with pytest.raises(
        DataCorrupt, match=rf"expected model_type {family} .*found {other}; set backbones.language_family={other}"
    ):
        opened(family, tiny_folder(other))


@pytest.mark.parametrize("family", list(LANGUAGE_FAMILIES))
def test_tiny_checkpoints_are_small_and_the_same_every_time(family: str, tiny_folder: Folder, tmp_path: Path) -> None:
    TINY_LANGUAGE[family](tmp_path)
    first = {path.name: path.read_bytes() for path in tiny_folder(family).iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"} <= set(first)
    assert sum(map(len, first.values())) < 600_000


def test_a_family_that_nobody_wrote_is_refused(tiny_folder: Folder, copy: Path) -> None:
    with pytest.raises(SettingsError, match=r"language_family='llava'; expected one of .*llava_onevision"):
        opened("llava", tiny_folder("smolvlm"))
    change_config(copy, model_type="bert")
    with pytest.raises(DataCorrupt, match=r"expected model_type smolvlm .*found bert; name a checkpoint of that family"):
        opened("smolvlm", copy)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"expected a checkpoint of model_type gemma3 .*found an empty folder"):
        opened("gemma3", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(DataMissing, match=r"found pickled weights only \(pytorch_model.bin\)"):
        opened("gemma3", tmp_path)


def test_pickled_weights_are_not_read(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(DataMissing, match=r"expected safetensors weights, found pickled weights only \(pytorch_model.bin\)"):
        opened("smolvlm", copy)


def test_weights_that_are_not_in_the_file_are_not_drawn_at_random(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    left_out = sorted(weights)[3]
    save_file(
        {name: value for name, value in weights.items() if name != left_out}, copy / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(DataCorrupt, match=rf"SmolVLMForConditionalGeneration, found 1 of them missing \({left_out}\)"):
        opened("smolvlm", copy)


def test_damaged_weights_and_other_shapes_are_corrupt(copy: Path, tiny_folder: Folder) -> None:
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataCorrupt, match="found others"):
        opened("smolvlm", copy)
    (copy / "model.safetensors").write_bytes(whole)
    config = json.loads((copy / "config.json").read_text())
    change_config(copy, text_config={**config["text_config"], "intermediate_size": 48})
    with pytest.raises(DataCorrupt, match="found others"):
        opened("smolvlm", copy)


def test_a_missing_shard_is_missing(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "model-00001-of-00002.safetensors")
    names = dict.fromkeys(load_file(copy / "model-00001-of-00002.safetensors"), "model-00002-of-00002.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    with pytest.raises(DataMissing, match="found them incomplete"):
        opened("smolvlm", copy)


def test_a_tokenizer_or_image_processor_that_is_not_there_or_not_its_own(copy: Path, tiny_folder: Folder) -> None:
    shutil.copy(tiny_folder("gemma3") / "tokenizer.json", copy / "tokenizer.json")
    shutil.copy(tiny_folder("gemma3") / "tokenizer_config.json", copy / "tokenizer_config.json")
    with pytest.raises(DataCorrupt, match=r"marks, found one that spells out <fake_token_around_image>"):
        opened("smolvlm", copy)
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(DataMissing, match="expected the tokenizer and image processor of SmolVLM"):
        opened("smolvlm", copy)


def test_a_mark_that_the_tokenizer_does_not_call_special_is_guarded_all_the_same(tiny_folder: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder("llava_onevision"), tmp_path / "llava"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        state = json.loads((folder / name).read_text())
        for token in state.get("added_tokens", []):
            token["special"] = token["content"] != "<image>"
        if "extra_special_tokens" in state:
            state["extra_special_tokens"] = [token for token in state["extra_special_tokens"] if token != "<image>"]
        (folder / name).write_text(json.dumps(state))
    reader = opened("llava_onevision", folder)
    assert isinstance(reader, PrefixReader)
    assert not reader.tokenizer.added_tokens_decoder[reader.image_token].special
    assert reader.image_token not in reader.words("a <image> of a boat")
