"""Trains the multimodal language model: reads covers and titles, and sums up the taste of a history of covers.

Knows conversations and pictures. Run: ``python -m zoo.recipe language``; writes zoo/language_model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessorPil

from icg_tasks.world import ATTRIBUTE_VALUES
from zoo.recipe.damage import blur, strengths
from zoo.recipe.pool import Pool, held_out_pool, pixels, training_pool
from zoo.recipe.reading import (
    MERGE,
    PATCH,
    TOKENS_PER_IMAGE,
    Conversation,
    LookIndex,
    batch,
    captioning,
    patches,
    read_caption,
    tasting,
    tokenizer,
)
from zoo.recipe.workshop import ZOO, Plan, device, half_precision, log, replace_folder, train

_BATCH: Final = 32
_WIDTH: Final = 128
_HEAD_SHARE: Final = 0.3
PLAN: Final = Plan(
    name="language", steps=900, learning_rate=2e-3, weight_decay=0.02, average_decay=0.99, export_every=300, seed=41
)


def build() -> Qwen2_5_VLForConditionalGeneration:
    """A fresh model of about 1.7 M parameters.

    ``mrope_section`` has to sum to half the head's width, ``out_hidden_size`` to be the text's width.
    """
    torch.manual_seed(PLAN.seed)
    words = tokenizer()
    token = words.convert_tokens_to_ids
    text = {
        "vocab_size": len(words), "hidden_size": _WIDTH, "intermediate_size": 320, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": token("<|im_start|>"), "eos_token_id": token("<|im_end|>"), "pad_token_id": token("<|endoftext|>"),
    }  # fmt: skip
    vision = {
        "depth": 3, "hidden_size": _WIDTH, "intermediate_size": 256, "num_heads": 4, "patch_size": PATCH,
        "spatial_merge_size": MERGE, "temporal_patch_size": 2, "window_size": 64, "out_hidden_size": _WIDTH,
        "fullatt_block_indexes": [0, 1, 2],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


class _Trainee(nn.Module):
    """The model with attribute heads over each picture's mean token: they teach the vision part, and are dropped afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.model = build()
        self.heads = nn.ModuleList(nn.Linear(_WIDTH, len(values)) for values in ATTRIBUTE_VALUES.values())

    def losses(self, asked: dict[str, Tensor], indices: Tensor) -> tuple[Tensor, Tensor]:
        """The language loss and the sum of the heads' losses; ``indices`` (pictures, 5)."""
        seen: list[Tensor] = []
        watch = self.model.model.visual.merger.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        language = self.model(**asked).loss
        watch.remove()
        pictures = seen[0].float().reshape(len(indices), TOKENS_PER_IMAGE, _WIDTH).mean(dim=1)
        errors = [functional.cross_entropy(head(pictures).float(), indices[:, i]) for i, head in enumerate(self.heads)]
        return language, torch.stack(errors).sum()


def inputs(conversations: list[Conversation], images: Tensor) -> dict[str, Tensor]:
    """All the model wants: tokens, marks, flat patches and the grid of every picture."""
    tensors = {name: tensor.to(device()) for name, tensor in batch(conversations).items()}
    side = 64 // PATCH
    grid = torch.tensor([[1, side, side]], device=device()).repeat(len(images), 1)
    return tensors | {"pixel_values": patches(images), "image_grid_thw": grid}


def _pictures(pool: Pool, conversations: list[Conversation]) -> Tensor:
    return pixels(pool.images[np.concatenate([one.rows for one in conversations])])


def _conversations(index: LookIndex, rng: np.random.Generator, *, tastes: bool) -> list[Conversation]:
    if tastes:
        return [tasting(index, rng, length=int(rng.integers(3, 6))) for _ in range(_BATCH // 2)]
    return [captioning(index.indices, rng, turns=2, titled=0.6) for _ in range(_BATCH)]


@torch.no_grad()
def read(model: Qwen2_5_VLForConditionalGeneration, pool: Pool, conversations: list[Conversation]) -> list[str]:
    """The greedily written answer to each one-turn conversation, its own answer taken away."""
    words = tokenizer()
    texts = []
    for conversation in conversations:
        question = Conversation(pieces=conversation.pieces[:-1], rows=conversation.rows)
        asked = inputs([question], _pictures(pool, [question]))
        asked.pop("labels")
        written = model.generate(**asked, max_new_tokens=24, do_sample=False)
        texts.append(words.decode(written[0, asked["input_ids"].shape[1] :], skip_special_tokens=True))
    return texts


def measure(model: Qwen2_5_VLForConditionalGeneration, count: int = 128) -> dict[str, float]:
    """Shares of attributes read from an untitled held-out cover, and of a taste put rightly into words."""
    pool = held_out_pool(2048)
    rng = np.random.default_rng(77)
    shown = [captioning(pool.indices, rng, turns=1, titled=0.0, held_out=True) for _ in range(count)]
    seen = np.array([read_caption(text) for text in read(model, pool, shown)])
    hits = (seen == pool.indices[[one.rows[0] for one in shown]]).mean(axis=0)
    index = LookIndex(pool.indices)
    histories = [tasting(index, rng, length=4, held_out=True) for _ in range(count // 2)]
    wanted = np.array([read_caption(one.pieces[-1][0]) for one in histories])
    told = np.array([read_caption(text) for text in read(model, pool, histories)])
    summed = (told == wanted).mean(axis=0)
    figures = {f"image_{name}": float(hit) for name, hit in zip(ATTRIBUTE_VALUES, hits, strict=True)}
    return figures | {f"taste_{name}": float(hit) for name, hit in zip(ATTRIBUTE_VALUES, summed, strict=True)}


def load(folder: Path = ZOO / "language_model") -> Qwen2_5_VLForConditionalGeneration:
    """The shipped model, fp32, on the device."""
    model: Qwen2_5_VLForConditionalGeneration = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model.eval().to(device())


def _export(trainee: _Trainee, step: int) -> None:
    model = trainee.model
    model.generation_config.pad_token_id = tokenizer().pad_token_id
    model.generation_config.eos_token_id = tokenizer().eos_token_id
    log(f"language step {step}: " + " ".join(f"{k} {v:.3f}" for k, v in measure(model, 64).items()))

    def write(folder: Path) -> None:
        model.half().save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        Qwen2VLImageProcessorPil(
            patch_size=PATCH, merge_size=MERGE, temporal_patch_size=2, min_pixels=64 * 64, max_pixels=64 * 64,
            image_mean=[0.5] * 3, image_std=[0.25] * 3,
        ).save_pretrained(folder)  # fmt: skip

    replace_folder(ZOO / "language_model", write)


def run() -> None:
    """Train and export the language model; one batch in three is about tastes, the others about single covers."""
    pool = training_pool()
    index = LookIndex(pool.indices)

    def loss_of(trainee: _Trainee, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        tastes = bool(rng.random() < 1 / 3)
        conversations = _conversations(index, rng, tastes=tastes)
        images = _pictures(pool, conversations)
        images = blur(images, strengths(len(images), 0.3, rng).to(device()))
        indices = torch.from_numpy(pool.indices[np.concatenate([one.rows for one in conversations])]).to(device())
        with half_precision():
            language, heads = trainee.losses(inputs(conversations, images), indices)
        figures = {"taste" if tastes else "caption": float(language.detach()), "heads": float(heads.detach())}
        return language + _HEAD_SHARE * heads, figures

    train(PLAN, _Trainee(), loss_of, _export)
