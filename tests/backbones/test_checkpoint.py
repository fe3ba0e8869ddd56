"""Checkpoints by name: pinned hub ids from the local cache without a network, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub.utils import filter_repo_objects

from icg_tasks.backbones.checkpoint import _PIPELINE, _VARIANTS, checkpoint_folder, model_type
from icg_tasks.contracts.errors import DataCorrupt, DataMissing

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_folder_is_itself_even_if_its_name_looks_pinned(tmp_path: Path) -> None:
    folder = tmp_path / "model@v2"
    folder.mkdir()
    assert checkpoint_folder(str(folder)) == folder


@pytest.mark.parametrize("name", ["owner/name", "owner/name@", "@main", "/no/such/folder"])
def test_a_hub_id_needs_its_revision(name: str) -> None:
    with pytest.raises(DataMissing, match="owner/name@revision"):
        checkpoint_folder(name)


def test_offline_a_pinned_id_is_found_in_the_cache_and_nowhere_else(tmp_path: Path) -> None:
    """In a process of its own: huggingface_hub reads its switches once, when it is imported."""
    snapshot = tmp_path / "hub" / "models--owner--tiny" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"model_type": "gemma3"}')
    program = (
        "from icg_tasks.backbones.checkpoint import checkpoint_folder as find\n"
        "from icg_tasks.contracts.errors import DataMissing\n"
        f"print(find('owner/tiny@{COMMIT}'))\n"
        "try:\n    find('owner/tiny@main')\nexcept DataMissing as error:\n    print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    found, refused = done.stdout.strip().split("\n", 1)
    assert Path(found) == snapshot
    assert "'owner/tiny@main' is no local folder and cannot be fetched" in refused


@pytest.mark.parametrize("content", ["{", "[]", '{"architectures": []}'])
def test_a_configuration_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(DataCorrupt, match="expected JSON with model_type gemma3"):
        model_type(tmp_path, "gemma3")


def test_a_configuration_beyond_all_bounds_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b" " * (5 * 2**20))
    with pytest.raises(DataCorrupt, match="found 5242880 bytes"):
        model_type(tmp_path, "gemma3")


SDXL_ON_THE_HUB = [
    "model_index.json", "sd_xl_base_1.0.safetensors", "README.md", "01.png",
    "scheduler/scheduler_config.json", "tokenizer/merges.txt", "tokenizer/vocab.json", "tokenizer_2/spiece.model",
    "text_encoder/config.json", "text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors",
    "text_encoder/flax_model.msgpack", "text_encoder/openvino_model.bin", "safety_checker/model.safetensors",
    "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors", "unet/diffusion_pytorch_model.bin",
    "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
    "transformer/diffusion_pytorch_model.safetensors.index.json",
]  # fmt: skip


def test_of_a_pipeline_each_part_is_fetched_once() -> None:
    fetched = set(filter_repo_objects(SDXL_ON_THE_HUB, allow_patterns=list(_PIPELINE), ignore_patterns=list(_VARIANTS)))
    assert fetched == {
        "model_index.json", "scheduler/scheduler_config.json", "tokenizer/merges.txt", "tokenizer/vocab.json",
        "tokenizer_2/spiece.model", "text_encoder/config.json", "text_encoder/model.safetensors", "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors", "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
        "transformer/diffusion_pytorch_model.safetensors.index.json",
    }  # fmt: skip
