"""The shipped weights: small, safe, loading with stock classes, and as good as FIGURES.json says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    JanusForConditionalGeneration,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.models.pigeon.sequence import LIKED, REFERENCE, TITLE
from icg_tasks.world.eye import AttributeClassifier
from zoo.recipe import aesthetic, encoder, janus, language, vae
from zoo.recipe.denoiser import measure
from zoo.recipe.figures import BARS, part_sizes
from zoo.recipe.sampling import load_sampler, load_vae
from zoo.recipe.workshop import ZOO

KNOWN_MISSES = {
    "language_model.image_subject": 0.04,  # two points short; the adapter stands on its states
    "token_model.caption_subject": 0.15,  # its training ended while subjects were still getting better
    "token_model.title_subject": 0.15,
}
"""Bars that are missed, and by how much at most."""
FORBIDDEN = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".h5", ".onnx"}


@pytest.fixture(scope="module")
def figures() -> dict[str, dict[str, dict[str, float]]]:
    content: dict[str, dict[str, dict[str, float]]] = json.loads((ZOO / "FIGURES.json").read_text())
    return content


def test_weights_are_safetensors_and_small() -> None:
    files = [path for path in ZOO.rglob("*") if path.is_file()]
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert len(weights) >= 8
    assert not [path for path in files if path.suffix in FORBIDDEN]
    assert sum(path.stat().st_size for path in files) <= 30 * 2**20


def test_recorded_bars_hold(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    assert set(figures["bars"]) == set(BARS)
    missed = {name for name, bar in figures["bars"].items() if bar["value"] < BARS[name]}
    assert missed == {name for name, bar in figures["bars"].items() if not bar["holds"]}
    assert missed <= set(KNOWN_MISSES)
    assert all(figures["bars"][name]["value"] > BARS[name] - KNOWN_MISSES[name] for name in missed)


def test_recorded_sizes_are_those_of_the_files(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    assert figures["sizes"] == part_sizes()


def test_the_dual_encoder_is_stock() -> None:
    folder = ZOO / "dual_encoder"
    model, words = CLIPModel.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    assert model.config.projection_dim == 128
    assert words.model_max_length == 32
    assert words.eos_token_id not in {2, words.bos_token_id}
    assert AutoTokenizer.from_pretrained(folder)("a cat").input_ids == words("a cat").input_ids
    assert words.unk_token_id not in words("Ünïcode ☃ 猫 !?").input_ids[:-1]
    pixels = CLIPImageProcessorPil.from_pretrained(folder)(torch.zeros(3, 64, 64, dtype=torch.uint8), return_tensors="pt")
    assert pixels["pixel_values"].shape == (1, 3, 64, 64)


def test_the_denoiser_is_a_stock_pipeline() -> None:
    pipeline = StableDiffusionXLPipeline.from_pretrained(ZOO / "denoiser", dtype=torch.float32)
    assert isinstance(pipeline.unet, UNet2DConditionModel)
    assert isinstance(pipeline.vae, AutoencoderKL)
    assert isinstance(pipeline.scheduler, DDIMScheduler)
    assert isinstance(pipeline.text_encoder_2, CLIPTextModelWithProjection)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    states, pooled = torch.zeros(1, 32, 128), torch.zeros(1, 128)
    image = pipeline(
        prompt_embeds=states, pooled_prompt_embeds=pooled, negative_prompt_embeds=states, negative_pooled_prompt_embeds=pooled,
        num_inference_steps=2, guidance_scale=2.0, height=64, width=64, output_type="np",
    ).images[0]  # fmt: skip
    assert image.shape == (64, 64, 3)


def test_the_language_model_is_stock() -> None:
    folder = ZOO / "language_model"
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder)
    words = AutoTokenizer.from_pretrained(folder)
    assert words.convert_tokens_to_ids("<|image_pad|>") == model.config.image_token_id
    assert Qwen2VLImageProcessorPil.from_pretrained(folder).patch_size == model.config.vision_config.patch_size == 8


def test_small_parts_do_what_they_say(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    assert vae.peak_signal_to_noise(load_vae(), 64) > figures["bars"]["vae.psnr_db"]["value"] - 1.5
    assert aesthetic.measure(aesthetic.load_dual_encoder(), aesthetic.load_head(), 128)["correlation"] > 0.75
    measured = encoder.measure(aesthetic.load_dual_encoder(), 200)
    assert measured["caption_all_attributes_top1"] > 0.9
    assert measured["title_subject_top1"] > 0.9


def test_the_denoiser_draws_what_it_is_told() -> None:
    eye = AttributeClassifier.from_folder(ZOO / "judge")
    measured = measure(load_sampler(), eye, 64)
    assert measured["caption_subject"] > 0.85
    assert measured["caption_palette"] > 0.9
    assert measured["title_subject"] > 0.8


def test_the_language_model_reads_covers() -> None:
    measured = language.measure(language.load(), 24)
    assert measured["image_palette"] > 0.8
    assert measured["image_subject"] > 0.75


def test_the_token_model_is_stock_and_knows_pigeons_prompts() -> None:
    folder = ZOO / "janus"
    model = JanusForConditionalGeneration.from_pretrained(folder)
    words = AutoTokenizer.from_pretrained(folder)
    assert words.convert_tokens_to_ids("<image_placeholder>") == model.config.image_token_id
    assert model.config.vq_config.num_embeddings == 1024
    assert len(words(LIKED + TITLE + REFERENCE).input_ids) < 20  # marks of prompts are words of its own
    assert resolve_checkpoint("zoo:janus") == str(folder)


def test_the_token_model_writes_what_it_is_told(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    measured, recorded = janus.measure(janus.SHIPPED, 32)[0], figures["figures"]["token_model"]
    assert measured["psnr_db"] > 22.0
    for name in ("caption_palette", "caption_subject", "title_subject", "liked_palette"):
        assert measured[name] > recorded[name] - 0.2, name
    assert measured["liked_palette"] > 0.7  # by chance it would be an eighth


def test_nothing_names_a_machine() -> None:
    texts = [path for path in ZOO.rglob("*") if path.suffix in {".json", ".md", ".py"}]
    assert len(texts) > 20
    assert not [path for path in texts if str(Path.home()) + "/" in path.read_text(encoding="utf-8")]
