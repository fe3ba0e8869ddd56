"""The safety checker: a real one at tiny size, loaded from safetensors; what it finds is never stored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessorPil

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.covers.finish import UNSAFE, Finisher
from icg_tasks.covers.safety import SafetyChecker
from tests.covers.conftest import House, picture

FORBIDDEN, FINE = picture(1, 32), picture(2, 32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights; one concept is the vector of the forbidden picture, the others can never be reached."""
    folder = tmp_path_factory.mktemp("safety")
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = size | {"image_size": 32, "patch_size": 8, "projection_dim": 12}
    text = size | {"vocab_size": 40, "max_position_embeddings": 8, "projection_dim": 12}
    torch.manual_seed(0)
    model = StableDiffusionSafetyChecker(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).eval()
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    pixels = processor(FORBIDDEN, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        vector = model.visual_projection(model.vision_model(pixels)[1])
        model.concept_embeds.zero_()
        model.concept_embeds[3] = vector[0]
        model.concept_embeds_weights.fill_(0.99)
        model.special_care_embeds_weights.fill_(2.0)
    model.save_pretrained(folder, safe_serialization=True)
    processor.save_pretrained(folder)
    return folder


def test_finds_its_concept_and_nothing_else(checkpoint: Path) -> None:
    checker = SafetyChecker.load(str(checkpoint), torch.device("cpu"))
    image = FORBIDDEN.copy()
    assert checker.unsafe(image)
    assert np.array_equal(image, FORBIDDEN), "the image itself is not blacked out"
    assert not checker.unsafe(FINE)


def test_an_unsafe_image_is_never_stored(house: House, checkpoint: Path) -> None:
    house.set(safety_checker=str(checkpoint))
    finisher = Finisher.load(house.context("generate-covers"))
    assert finisher.stored(finisher.finish(FORBIDDEN, "x")) == UNSAFE
    assert list(house.store.list(f"{keys.COVER_BLOBS}/")) == []
    stored = finisher.stored(finisher.finish(FINE, "x"))
    assert house.store.exists(stored.blob)


def test_title_is_written_after_the_check(house: House) -> None:
    house.set(title_overlay=True)
    finisher = Finisher.load(house.context("generate-covers"))
    plain = Finisher(house.store, house.settings.covers.webp_quality).finish(picture(2, 64), "Lake")
    assert finisher.finish(picture(2, 64), "Lake").cover_id != plain.cover_id
    assert finisher.finish(picture(2, 64), "湖") == "title_lacks_glyphs"


def test_another_model_is_refused(checkpoint: Path, tmp_path: Path, house: House) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(DataCorrupt, match="safety checker"):
        SafetyChecker.load(str(tmp_path), torch.device("cpu"))
    house.settings = replace(house.settings, covers=replace(house.settings.covers, safety_checker=str(tmp_path / "none")))
    with pytest.raises(DataMissing, match="none"):
        Finisher.load(house.context("generate-covers"))
