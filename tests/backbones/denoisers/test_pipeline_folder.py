"""Checkpoints that are not what their family expects: the error says what was expected, what was found, and where."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import sentencepiece
import torch

from icg_tasks.backbones.denoisers.flux import FluxDenoiser
from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.denoisers.pixart_sigma import PixArtSigmaDenoiser
from icg_tasks.backbones.denoisers.sd3 import Sd3Denoiser
from icg_tasks.backbones.denoisers.sd15 import Sd15Denoiser
from icg_tasks.backbones.denoisers.sdxl import SdxlDenoiser
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from tests.backbones.denoisers.conftest import COMPUTE

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def sd15(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(folder_of("sd15"), tmp_path / "sd15"))


def load(folder: Path, family: type[LatentDenoiser] = Sd15Denoiser, size_pixels: int = 32) -> LatentDenoiser:
    return family.load(str(folder), COMPUTE, size_pixels=size_pixels)


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_another_familys_pipeline(sd15: Path) -> None:
    with pytest.raises(DataCorrupt, match=r"expected a FluxPipeline, found a StableDiffusionPipeline.*denoiser_family"):
        load(sd15, FluxDenoiser)


def test_no_pipeline_at_all(sd15: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataMissing, match=r"StableDiffusionPipeline.*found an empty folder"):
        load(tmp_path / "empty")
    (sd15 / "model_index.json").write_text("[")
    with pytest.raises(DataCorrupt, match=r"model_index\.json"):
        load(sd15)


def test_a_part_that_is_named_but_absent_and_one_that_is_not_named(sd15: Path) -> None:
    shutil.rmtree(sd15 / "vae")
    with pytest.raises(DataMissing, match="the part vae"):
        load(sd15)
    edit(sd15 / "model_index.json", vae=[None, None])
    with pytest.raises(DataMissing, match=r"expected a part vae \(AutoencoderKL\).*names \['scheduler', 'text_encoder'"):
        load(sd15)


def test_a_part_of_another_class(sd15: Path) -> None:
    edit(sd15 / "model_index.json", text_encoder=["transformers", "CLIPTextModelWithProjection"])
    with pytest.raises(DataCorrupt, match="expected text_encoder to be a CLIPTextModel, found CLIPTextModelWithProjection"):
        load(sd15)


def test_pickled_weights_are_never_read(sd15: Path) -> None:
    (sd15 / UNET).rename(sd15 / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(
        DataMissing, match=r"expected safetensors weights, found pickled weights only \(diffusion_pytorch_model\.bin"
    ):
        load(sd15)


def test_weights_that_are_incomplete_damaged_or_of_other_shapes(sd15: Path) -> None:
    whole = safetensors.torch.load_file(sd15 / UNET)
    part = {name: value for name, value in whole.items() if name != "conv_in.weight"}
    safetensors.torch.save_file(part, sd15 / UNET)
    with pytest.raises(DataCorrupt, match=r"unet.*1 of them missing \(conv_in\.weight\)"):
        load(sd15)
    safetensors.torch.save_file(part | {"conv_in.weight": torch.zeros(3, 3)}, sd15 / UNET)
    with pytest.raises(DataCorrupt, match=r"conv_in\.weight"):
        load(sd15)
    (sd15 / UNET).write_bytes(b"\x10" * 100)
    with pytest.raises((DataCorrupt, DataMissing), match="UNet2DConditionModel"):
        load(sd15)


def test_a_scheduler_that_does_not_exist(sd15: Path) -> None:
    edit(sd15 / "model_index.json", scheduler=["diffusers", "AutoencoderKL"])
    with pytest.raises(DataCorrupt, match="expected a scheduler of diffusers, found 'AutoencoderKL'"):
        load(sd15)


def test_a_unet_that_wants_to_be_told_something_else(sd15: Path, folder_of: Callable[[str], Path]) -> None:
    shutil.rmtree(sd15 / "unet")
    shutil.copytree(folder_of("sdxl") / "unet", sd15 / "unet")
    with pytest.raises(DataCorrupt, match="added conditions None, found text_time"):
        load(sd15)


def test_a_size_that_the_denoiser_cannot_draw(sd15: Path, folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(DataCorrupt, match=r"size_pixels=36 is no multiple of 8"):
        load(sd15, size_pixels=36)
    with pytest.raises(DataCorrupt, match="positions for 16"):
        load(folder_of("sd3"), Sd3Denoiser, size_pixels=256)


def test_sdxl_wants_its_projecting_text_encoder(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folder_of("sdxl"), tmp_path / "sdxl"))
    edit(folder / "model_index.json", text_encoder_2=[None, None])
    with pytest.raises(DataMissing, match=r"text_encoder_2 \(CLIPTextModelWithProjection\)"):
        load(folder, SdxlDenoiser)


def test_a_tokenizer_that_is_a_sentencepiece_model_alone(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """As PixArt's and SD 3's T5 lie on the hub."""
    folder = Path(shutil.copytree(folder_of("pixart_sigma"), tmp_path / "pixart"))
    words, text = folder / "tokenizer", tmp_path / "words.txt"
    text.write_text("a calm mountain at dawn\nthe rocket of joy\na tender fish\n" * 50)
    shutil.rmtree(words)
    words.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(words / "spiece"),
        vocab_size=24,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "pad_token": "<pad>", "model_max_length": 16}
    (words / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": "</s>", "unk_token": "<unk>"}))
    denoiser = load(folder, PixArtSigmaDenoiser)
    one, other = denoiser.encode_text(["a calm mountain"]), denoiser.encode_text(["the rocket of joy"])
    assert one.sequence.shape == other.sequence.shape
    assert not torch.equal(one.sequence, other.sequence)
