"""Rewards with judges of their own: each against transformers' whole forward pass on what its own image processor made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    BlipForImageTextRetrieval,
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    CLIPModel,
    SiglipImageProcessorPil,
    SiglipModel,
)

from icg_tasks.backbones.images import Preprocessing, pil_to_pixels
from icg_tasks.config.settings import BackboneSettings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.models.rewards.chosen import open_judges
from icg_tasks.models.rewards.context import RewardContext, RewardInputError, RewardModels
from icg_tasks.models.rewards.table import REWARDS
from tests.models.rewards.tiny_judges import by_hand, make_blip, make_clip, make_head, make_siglip

OWN = [name for name, reward in REWARDS.items() if reward.own_judge]
WORDS = ("the quiet moon", "sea of the tree", "moon moon sea")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("judges")
    made = {"clip": make_clip(root / "clip"), "siglip": make_siglip(root / "siglip"), "blip": make_blip(root / "blip")}
    make_head(root / "heads" / "clip.safetensors", 8)
    make_head(root / "heads" / "blip.safetensors", 16, prefix="mlp.")
    return {**made, "heads": root / "heads"}


@pytest.fixture(scope="module")
def checkpoints(folders: dict[str, Path]) -> dict[str, str]:
    heads = folders["heads"]
    return {
        "public_aesthetic": f"{folders['clip']}+{heads / 'clip.safetensors'}",
        "title_match": str(folders["siglip"]),
        "pickscore": str(folders["clip"]),
        "hps": str(folders["clip"]),
        "imagereward": f"{folders['blip']}+{heads / 'blip.safetensors'}",
    }


@pytest.fixture(scope="module")
def judges(checkpoints: dict[str, str]) -> dict[str, Any]:
    text = ", ".join(f"{name}={checkpoint}" for name, checkpoint in checkpoints.items())
    return open_judges(BackboneSettings(judges=text), OWN)


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Three pictures of the encoders' own size: nothing is resized, so both ways must agree to rounding."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(256, size=(16, 16, 3), dtype=np.uint8)) for _ in range(3)]


@pytest.fixture(scope="module")
def seen(pictures: list[Image.Image]) -> torch.Tensor:
    return torch.cat([pil_to_pixels(picture) for picture in pictures])


def told(models: RewardModels, judges: dict[str, Any], titles: tuple[str, ...] = WORDS) -> RewardContext:
    width, count = models.encoder.embedding_width, len(titles)
    return RewardContext(
        models=RewardModels(encoder=models.encoder, judges=judges),
        title_vectors=torch.zeros(count, width),
        user_vectors=torch.zeros(count, 2 * width),
        titles=titles,
    )


@torch.no_grad()
def by_transformers(name: str, folders: dict[str, Path], pictures: list[Image.Image]) -> torch.Tensor:
    """The published formula on transformers' own processor, tokenizer and forward pass."""
    family = {"title_match": "siglip", "imagereward": "blip"}.get(name, "clip")
    folder = folders[family]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if family == "blip":
        values = BlipImageProcessorPil.from_pretrained(folder)(images=pictures, return_tensors="pt")["pixel_values"]
        text = tokenizer(list(WORDS), padding="max_length", truncation=True, max_length=35, return_tensors="pt")
        model = BlipForImageTextRetrieval.from_pretrained(folder).eval()
        found = model(input_ids=text["input_ids"], attention_mask=text["attention_mask"], pixel_values=values)
        head = make_head(folders["heads"] / "again.safetensors", 16)
        return (by_hand(head, found.question_embeds[:, 0]) - 0.16717362830052426) / 1.0333394966054072
    processor = {"clip": CLIPImageProcessorPil, "siglip": SiglipImageProcessorPil}[family].from_pretrained(folder)
    values = processor(images=pictures, return_tensors="pt")["pixel_values"]
    model = {"clip": CLIPModel, "siglip": SiglipModel}[family].from_pretrained(folder).eval()
    length = model.config.text_config.max_position_embeddings
    text = tokenizer(list(WORDS), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    found = model(input_ids=text["input_ids"], pixel_values=values)
    if name == "public_aesthetic":
        return by_hand(make_head(folders["heads"] / "again.safetensors", 8), found.image_embeds)
    if name == "hps":
        return (found.image_embeds * found.text_embeds).sum(dim=-1)
    return found.logits_per_image.diagonal()


@pytest.mark.parametrize("name", OWN)
def test_it_is_the_published_formula_on_transformers_own_forward_pass(name, judges, models, folders, pictures, seen) -> None:
    with torch.no_grad():
        found = REWARDS[name].function(seen, told(models, judges))
    expected = by_transformers(name, folders, pictures)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", OWN)
def test_it_can_be_climbed_from_the_pixels(name, judges, models) -> None:
    pixels = torch.rand(3, 3, 24, 20, generator=torch.Generator().manual_seed(2)).requires_grad_()
    context, reward = told(models, judges), REWARDS[name]
    before = reward.function(pixels, context)
    assert before.shape == (3,)
    assert before.requires_grad == reward.differentiable
    (slope,) = torch.autograd.grad(before.sum(), pixels)
    assert slope.abs().sum(dim=(1, 2, 3)).min() > 0
    step = 0.02 * slope / slope.flatten(1).norm(dim=1).view(3, 1, 1, 1)
    with torch.no_grad():
        assert (reward.function(pixels + step, context) > before).all()


@pytest.mark.parametrize("name", OWN)
def test_a_batch_of_n_is_n_single_runs(name, judges, models, seen) -> None:
    with torch.no_grad():
        together = REWARDS[name].function(seen, told(models, judges))
        alone = [REWARDS[name].function(seen[row : row + 1], told(models, judges, (WORDS[row],))) for row in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in OWN if name != "public_aesthetic"])
def test_titles_count_row_by_row(name, judges, models, seen) -> None:
    with torch.no_grad():
        found = REWARDS[name].function(seen, told(models, judges))
        swapped = REWARDS[name].function(seen, told(models, judges, (WORDS[1], WORDS[0], WORDS[2])))
        twice = REWARDS[name].function(seen, told(models, judges, (WORDS[0], WORDS[0], WORDS[2])))
    assert (swapped[:2] - found[:2]).abs().min() > 1e-5
    torch.testing.assert_close(twice[[0, 2]], found[[0, 2]])
    torch.testing.assert_close(twice[1], swapped[1])


@pytest.mark.parametrize("name", OWN)
def test_without_its_judge_it_says_what_to_set(name, models, seen) -> None:
    with pytest.raises(DataMissing, match=f"backbones.judges={name}="):
        REWARDS[name].function(seen, told(models, {}))


def test_titles_that_are_missing_are_named(judges, models, seen) -> None:
    context = told(models, judges)
    context.titles = ()
    with pytest.raises(RewardInputError, match="3 images with 0 titles"):
        REWARDS["pickscore"].function(seen, context)


def processors() -> list[Any]:
    clip = {"size": {"shortest_edge": 20}, "crop_size": {"height": 20, "width": 20}}
    return [
        CLIPImageProcessorPil(**clip),
        SiglipImageProcessorPil(size={"height": 20, "width": 20}),
        BlipImageProcessorPil(size={"height": 20, "width": 20}),
    ]


@pytest.mark.parametrize("processor", processors(), ids=lambda processor: type(processor).__name__)
@pytest.mark.parametrize("size", [(20, 20), (64, 64), (61, 37), (12, 18)])
def test_pixels_are_prepared_as_transformers_processor_does(processor, size, tmp_path) -> None:
    """Golden: smooth pictures of several sizes, shrunk and enlarged.

    PIL rounds to 8 bits and clips after each of its two passes, we do not: mid-tones, so that nothing overshoots.
    """
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(60, 196, size=(6, 6, 3), dtype=np.uint8))
    picture = coarse.resize(size, Image.Resampling.BICUBIC)
    processor.save_pretrained(tmp_path)
    preprocessing = Preprocessing.from_folder(tmp_path)
    expected = processor(images=[picture], return_tensors="pt")["pixel_values"]
    found = preprocessing.apply(pil_to_pixels(picture))
    assert found.shape == expected.shape == (1, 3, 20, 20)
    deviation = torch.tensor(preprocessing.deviation).view(1, 3, 1, 1)
    steps = ((found - expected) * deviation * 255).abs()  # in 8-bit steps
    assert steps.max() < 1.6
    assert steps.mean() < 0.4
