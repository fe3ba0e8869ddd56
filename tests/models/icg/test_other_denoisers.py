"""One adapter, several denoisers: another UNet with the same conditioning takes it, one of another shape refuses it."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.denoisers.sd3 import Sd3Denoiser
from icg_tasks.backbones.denoisers.sd15 import Sd15Denoiser
from icg_tasks.backbones.denoisers.sdxl import SdxlDenoiser
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.config.settings import BackboneSettings, CoverSettings
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.models.icg.adapter import AdapterConfig, IcgAdapter
from icg_tasks.models.icg.denoiser_lora import DenoiserLora, LoraPlan
from icg_tasks.models.icg.generator import IcgGenerator
from icg_tasks.stage import StopSign
from tests.backbones.denoisers.tiny import write_sd3, write_sd15, write_sdxl

COMPUTE = Compute(device=torch.device("cpu"), bfloat16=False)
COVERS = CoverSettings(size_pixels=32, steps=2, guidance=2.0, batch_size=2)
TITLES = ["a lighthouse in the storm", "three owls"]
IMAGES = [Image.new("RGB", (32, 32), (200, 40, 30)), Image.new("RGB", (32, 32), (20, 40, 130))]


def load(family: type[LatentDenoiser], folder: Path, lora: Path | None = None) -> LatentDenoiser:
    return family.load(str(folder), COMPUTE, size_pixels=32, lora_folder=lora)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion 1.5 in ``first``, and a fine-tune that differs in its UNet in ``second``."""
    place = tmp_path_factory.mktemp("denoisers")
    write_sd15(place / "first", 1)
    write_sd15(place / "other", 2)
    shutil.copytree(place / "first", place / "second")
    shutil.rmtree(place / "second" / "unet")
    shutil.copytree(place / "other" / "unet", place / "second" / "unet")
    return place


def test_an_adapter_for_one_unet_speaks_to_another_and_to_no_other_shape(folder: Path, tmp_path: Path) -> None:
    first, second = load(Sd15Denoiser, folder / "first"), load(Sd15Denoiser, folder / "second")
    language = open_language_model(BackboneSettings(), COMPUTE)
    torch.manual_seed(0)
    config = AdapterConfig(
        language_width=language.width, num_meta_tokens=3, width=16, layers=1, heads=2, num_user_tokens=2, user_width=4,
        sequence_length=first.shape.length, sequence_width=first.shape.width, pooled_width=first.shape.pooled,
    )  # fmt: skip
    adapter = IcgAdapter(config, language.embedding_deviation)
    adapter.start_at(first.encode_text(TITLES))
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=3e-3)
    reading, users = language.read(TITLES, IMAGES, 3), torch.eye(4)[:2]
    noise, times = first.noise([1, 2]), torch.tensor([400, 700])
    losses = []
    for _ in range(4):
        told = adapter(language.states(reading, adapter.meta_tokens), users)
        loss = first.denoising_loss(first.noise([3, 4]), told, noise, times).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    for name, data in adapter.files().items():
        (tmp_path / name).write_bytes(data)
    drawn = {}
    for name, denoiser in (("first", first), ("second", second)):
        generator = IcgGenerator(IcgAdapter.load(tmp_path), language, denoiser, COVERS, COMPUTE)
        told = generator.conditions(generator.item_states(IMAGES, TITLES), users)
        drawn[name] = generator.sample(told, [5, 6])
        swapped = generator.sample(told.rows(torch.tensor([1, 0])), [5, 6])
        assert drawn[name].isfinite().all()
        assert not torch.equal(drawn[name], swapped)  # it listens to what it is told
    assert torch.equal(first.encode_text(TITLES).sequence, second.encode_text(TITLES).sequence)
    assert not torch.allclose(drawn["first"], drawn["second"], atol=1e-3)
    write_sdxl(tmp_path / "sdxl", 1)
    with pytest.raises(DataCorrupt, match=r"length=8, width=24, pooled=0.*length=8, width=40, pooled=16"):
        IcgGenerator(IcgAdapter.load(tmp_path), language, load(SdxlDenoiser, tmp_path / "sdxl"), COVERS, COMPUTE)


def test_a_lora_finds_its_layers_in_a_transformer_and_comes_back(tmp_path: Path) -> None:
    write_sd3(tmp_path / "sd3", 1)
    denoiser = load(Sd3Denoiser, tmp_path / "sd3")
    told, untold = denoiser.encode_text(TITLES), denoiser.unconditional()
    how = {"steps": 2, "guidance": 1.0}
    before = denoiser.sample(told, untold, denoiser.noise([1, 2]), **how)  # type: ignore[arg-type]
    plan = LoraPlan(rank=2, steps=3, batch_size=2, learning_rate=1e-2, seed=1, checkpoint_every=5)
    lora = DenoiserLora(denoiser, plan)
    layers = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in lora.trained}
    assert {"to_q", "add_k_proj", "proj_out"} <= layers
    lora.train(denoiser.noise([3, 4]), told, tmp_path / "state", StopSign())
    after = denoiser.sample(told, untold, denoiser.noise([1, 2]), **how)  # type: ignore[arg-type]
    assert not torch.allclose(before, after, atol=1e-4)
    (tmp_path / "lora").mkdir()
    for name, data in lora.files().items():
        (tmp_path / "lora" / name).write_bytes(data)
    again = load(Sd3Denoiser, tmp_path / "sd3", tmp_path / "lora")
    assert torch.allclose(again.sample(told, untold, again.noise([1, 2]), **how), after, atol=1e-4)  # type: ignore[arg-type]
    write_sdxl(tmp_path / "sdxl", 1)
    with pytest.raises(DataCorrupt, match="does not fit this denoiser"):
        load(SdxlDenoiser, tmp_path / "sdxl", tmp_path / "lora")
