"""Trains the dual encoder: captions, partial captions and titles against covers, with many right answers per batch.

A text matches every cover of the batch that shows all it says. Two sets of attribute heads help and are dropped afterwards.
Knows covers and texts. Run: ``python -m zoo.recipe encoder``; writes zoo/dual_encoder and the text half into zoo/denoiser.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTextModelWithProjection, CLIPTokenizer

from icg_tasks.world import ATTRIBUTE_VALUES
from zoo.recipe.pool import Text, held_out_pool, pixels, text_for, texts_for, title_subjects, training_pool
from zoo.recipe.tokenizer import CONTEXT
from zoo.recipe.tokenizer import build as build_tokenizer
from zoo.recipe.workshop import ZOO, Plan, device, half_precision, log, portions, replace_folder, train

WIDTH: Final = 128
MEAN: Final = (0.5, 0.5, 0.5)
DEVIATION: Final = (0.25, 0.25, 0.25)
_BATCH: Final = 128
_MIX: Final = {"caption": 0.5, "partial": 0.2, "title": 0.3}
PLAN: Final = Plan(name="encoder", steps=1000, learning_rate=1e-3, weight_decay=0.05, average_decay=0.995, export_every=400)


@cache
def tokenizer() -> CLIPTokenizer:
    """The tokenizer of the zoo, built once per process."""
    return build_tokenizer()


def tokens(texts: list[str], length: int = CONTEXT) -> Tensor:
    """Token ids (B, length), padded and cut to the length."""
    encoded = tokenizer()(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    ids: Tensor = encoded["input_ids"]
    return ids.to(device())


def normalised(images: Tensor) -> Tensor:
    """Pixels in 0 to 1 as the vision tower wants them."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    return (images - mean) / torch.tensor(DEVIATION, device=images.device).view(1, 3, 1, 1)


def build() -> CLIPModel:
    """A fresh dual encoder of about 1.5 M parameters."""
    torch.manual_seed(PLAN.seed)
    words = tokenizer()
    text = {
        "vocab_size": len(words), "hidden_size": WIDTH, "intermediate_size": 384, "num_hidden_layers": 3,
        "num_attention_heads": 4, "max_position_embeddings": CONTEXT, "projection_dim": WIDTH, "hidden_act": "gelu",
        "bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id,
    }  # fmt: skip
    vision = {
        "hidden_size": WIDTH, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 64,
        "patch_size": 8, "projection_dim": WIDTH, "hidden_act": "gelu",
    }  # fmt: skip
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))


class _Trainee(nn.Module):
    """The dual encoder with the attribute heads that are dropped after training."""

    def __init__(self) -> None:
        super().__init__()
        self.clip = build()
        self.image_heads = nn.ModuleList(nn.Linear(WIDTH, len(values)) for values in ATTRIBUTE_VALUES.values())
        self.text_heads = nn.ModuleList(nn.Linear(WIDTH, len(values)) for values in ATTRIBUTE_VALUES.values())


def _targets(texts: list[Text], indices: Tensor) -> Tensor:
    """(B texts, B covers) booleans: the cover shows all that the text says."""
    said = torch.tensor([text.said for text in texts], device=indices.device)
    agree = indices[:, None, :] == indices[None, :, :]
    return (agree | ~said[:, None, :]).all(dim=2)


def _soft_entropy(logits: Tensor, positives: Tensor) -> Tensor:
    target = positives.float() / positives.sum(dim=1, keepdim=True)
    return -(target * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()


def _damaged(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Light blur on some covers and noise on all, so that decoded latents are no strangers."""
    blurred = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = torch.from_numpy(rng.choice([0.0, 0.0, 0.4, 0.8], size=len(images))).float().to(images.device).view(-1, 1, 1, 1)
    noise = torch.randn_like(images) * torch.rand_like(share) * 0.04
    return (images.lerp(blurred, share) + noise).clamp(0, 1)


def _loss(trainee: _Trainee, images: Tensor, indices: Tensor, texts: list[Text]) -> tuple[Tensor, dict[str, float]]:
    clip = trainee.clip
    ids = tokens([text.text for text in texts])
    ids = ids[:, : int((ids != tokenizer().pad_token_id).sum(dim=1).max()) + 1]
    with half_precision():
        image = clip.get_image_features(pixel_values=normalised(images)).pooler_output.float()
        text = clip.get_text_features(input_ids=ids).pooler_output.float()
    image, text = functional.normalize(image, dim=1), functional.normalize(text, dim=1)
    logits = text @ image.T * clip.logit_scale.exp().clamp(max=60)
    positives = _targets(texts, indices)
    match = 0.5 * (_soft_entropy(logits, positives) + _soft_entropy(logits.T, positives.T))
    said = torch.tensor([one.said for one in texts], device=images.device)
    heads = torch.zeros((), device=images.device)
    for column, (image_head, text_head) in enumerate(zip(trainee.image_heads, trainee.text_heads, strict=True)):
        heads = heads + functional.cross_entropy(image_head(image) * 5, indices[:, column])
        rows = said[:, column]
        heads = heads + functional.cross_entropy(text_head(text[rows]) * 5, indices[rows, column])
    return match + 0.3 * heads, {"match": float(match.detach()), "heads": float(heads.detach())}


@torch.no_grad()
def image_embeddings(clip: CLIPModel, images: Tensor) -> Tensor:
    """Normalised image embeddings (B, 128)."""
    chunks = [clip.get_image_features(pixel_values=normalised(chunk)).pooler_output for chunk in portions(images, 128)]
    return functional.normalize(torch.cat(chunks).float(), dim=1)


@torch.no_grad()
def text_embeddings(clip: CLIPModel, texts: list[str]) -> Tensor:
    """Normalised text embeddings (B, 128)."""
    chunks = [clip.get_text_features(input_ids=chunk).pooler_output for chunk in portions(tokens(texts), 128)]
    return functional.normalize(torch.cat(chunks).float(), dim=1)


def measure(clip: CLIPModel, count: int = 1_000, seed: int = 5) -> dict[str, float]:
    """Top-1 figures on held-out covers of distinct attributes and held-out texts; a probe per attribute on half of them."""
    pool = held_out_pool(2 * count)
    _, rows = np.unique(pool.indices, axis=0, return_index=True)
    rows = np.sort(rows)[:count]
    indices = torch.from_numpy(pool.indices[rows])
    rng = np.random.default_rng(seed)
    captions = [text_for("caption", row, rng, held_out=True).text for row in pool.indices[rows]]
    image = image_embeddings(clip, pixels(pool.images[rows])).cpu()
    found = indices[(text_embeddings(clip, captions).cpu() @ image.T).argmax(dim=1)]
    titles, subjects = title_subjects(1_000, seed)
    seen = indices[(text_embeddings(clip, titles).cpu() @ image.T).argmax(dim=1), 0]
    figures = {
        "retrieval_pool": float(len(rows)),
        "caption_all_attributes_top1": float((found == indices).all(dim=1).float().mean()),
        "title_subject_top1": float((seen == torch.from_numpy(subjects)).float().mean()),
    }
    for column, name in enumerate(ATTRIBUTE_VALUES):
        figures[f"caption_{name}_top1"] = float((found[:, column] == indices[:, column]).float().mean())
    return figures | probe(clip)


def probe(clip: CLIPModel, count: int = 2_000) -> dict[str, float]:
    """Accuracy of a ridge regression from the image embedding to each attribute, on covers neither it nor training saw."""
    pool = held_out_pool(2 * count)
    image = image_embeddings(clip, pixels(pool.images)).cpu().double()
    image = torch.cat([image, torch.ones(len(image), 1, dtype=torch.float64)], dim=1)
    indices = torch.from_numpy(pool.indices)
    gram = image[:count].T @ image[:count] + 1e-4 * torch.eye(image.shape[1], dtype=torch.float64)
    figures = {}
    for column, (name, values) in enumerate(ATTRIBUTE_VALUES.items()):
        target = functional.one_hot(indices[:count, column], len(values)).double()
        weights = torch.linalg.solve(gram, image[:count].T @ target)
        figures[f"probe_{name}"] = float(((image[count:] @ weights).argmax(dim=1) == indices[count:, column]).float().mean())
    return figures


def _write_text_half(clip: CLIPModel, folder: Path) -> None:
    text = CLIPTextModelWithProjection(clip.config.text_config)
    state = {k: v for k, v in clip.state_dict().items() if k.startswith("text_")}
    text.load_state_dict({k: state[k] for k in text.state_dict() if k in state}, strict=True)
    text.half().save_pretrained(folder)


def _export(trainee: _Trainee, step: int) -> None:
    log(f"encoder step {step}: " + " ".join(f"{k} {v:.3f}" for k, v in measure(trainee.clip).items()))
    denoiser = ZOO / "denoiser"
    denoiser.mkdir(parents=True, exist_ok=True)

    def write(folder: Path) -> None:
        trainee.clip.half().save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        CLIPImageProcessorPil(
            size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, image_mean=list(MEAN), image_std=list(DEVIATION)
        ).save_pretrained(folder)

    replace_folder(denoiser / "text_encoder_2", lambda folder: _write_text_half(trainee.clip, folder))
    replace_folder(denoiser / "tokenizer_2", lambda folder: tokenizer().save_pretrained(folder))
    replace_folder(ZOO / "dual_encoder", write)


def run() -> None:
    """Train and export the dual encoder."""
    pool = training_pool()

    def loss_of(trainee: _Trainee, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = np.sort(rng.integers(len(pool.images), size=_BATCH))
        indices = pool.indices[rows]
        images = _damaged(pixels(pool.images[rows]), rng)
        return _loss(trainee, images, torch.from_numpy(indices).to(device()), texts_for(_MIX, indices, rng))

    train(PLAN, _Trainee(), loss_of, _export)
