"""Trains the token model: titles, captions and covers somebody liked in, the tokens of a cover out; in the format of Janus.

Takes in the image tokenizer (part ``image_tokens``). Its vision tower, by which Janus answers questions about images, is left
as it was drawn: nothing here asks any. Knows sequences of tokens; no readers.
Run: ``python -m zoo.recipe janus``; writes .cache/zoo/janus, and at the end zoo/janus.
Legend: B samples, T positions, N = 64 image tokens, D width.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import JanusConfig, JanusForConditionalGeneration, JanusImageProcessorPil, JanusVQVAE

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.tokens.table import open_token_model
from icg_tasks.backbones.tokens.writing import Piece, Sampling, TokenModel
from icg_tasks.models.pigeon.sequence import LIKED, TITLE
from icg_tasks.world import ATTRIBUTE_VALUES, SUBJECTS
from icg_tasks.world.eye import AttributeClassifier
from zoo.recipe import image_tokens
from zoo.recipe.denoiser import picture_grid
from zoo.recipe.judges import attribute_hits
from zoo.recipe.pool import held_out_pool, pixels, text_for, title_subjects, training_pool
from zoo.recipe.reading import LookIndex
from zoo.recipe.token_prompts import HIDDEN_SHARE, PLACEHOLDER, Sequence, code_places, embedded, prompt, soft_tokens, words
from zoo.recipe.workshop import CACHE, ZOO, Plan, device, half_precision, log, replace_folder, train, write_json

FOLDER: Final = CACHE / "janus"
SHIPPED: Final = ZOO / "janus"
SAMPLING: Final = Sampling(top_k=50, temperature=0.6, guidance=3.0)
BARS: Final = {"psnr_db": 21.0, "caption_subject": 0.95, "caption_palette": 0.98, "title_subject": 0.95, "liked_palette": 0.80}
"""What a shipped token model promises, on covers and texts that training never saw; more is better."""
NUM_TOKENS: Final = image_tokens.GRID**2
_WIDTH: Final = 192
_BATCH: Final = 24
_DRAWN_AT_ONCE: Final = 32
_TEXTS: Final = {"caption": 0.45, "partial": 0.2, "title": 0.35}
_LIKED_SHARE, _REFERENCE_SHARE, _NOTHING_SHARE = 0.3, 0.25, 0.08
_HISTORY_WEIGHT: Final = 0.5
_SUBJECT_WEIGHT: Final = 0.3
PLAN: Final = Plan(
    name="janus",
    steps=8000,
    learning_rate=2e-3,
    matrix_rate=2e-2,
    weight_decay=0.01,
    average_decay=0.995,
    save_every=100,
    export_every=400,
    seed=67,
)


def build(tokenizer: JanusVQVAE) -> JanusForConditionalGeneration:
    """A fresh model of about 4 M parameters around a trained image tokenizer."""
    torch.manual_seed(PLAN.seed)
    vocabulary = words()
    text = {
        "model_type": "llama", "vocab_size": len(vocabulary), "hidden_size": _WIDTH, "intermediate_size": 512,
        "num_hidden_layers": 5, "num_attention_heads": 6, "num_key_value_heads": 6, "max_position_embeddings": 4096,
        "bos_token_id": vocabulary.bos_token_id, "eos_token_id": vocabulary.eos_token_id,
        "pad_token_id": vocabulary.pad_token_id,
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64, "patch_size": 8,
        "mlp_ratio": 2.0, "projection_dim": _WIDTH, "depth": 1, "num_image_tokens": NUM_TOKENS,
    }  # fmt: skip
    config = JanusConfig(
        text_config=text,
        vision_config=vision,
        vq_config=image_tokens.vq_config(_WIDTH),
        image_token_id=vocabulary.convert_tokens_to_ids(PLACEHOLDER),
    )
    model = JanusForConditionalGeneration(config)
    model.set_attn_implementation("eager")  # on processors the fused kernel's backward pass takes twice as long
    model.model.vqmodel.load_state_dict(tokenizer.state_dict())
    _tell_codes_by_bits(model)
    for part in (model.model.vqmodel, model.model.vision_model, model.model.aligner):
        part.requires_grad_(False)
    model.subject_head = torch.nn.Linear(_WIDTH, len(SUBJECTS))
    return model


@torch.no_grad()
def _tell_codes_by_bits(model: JanusForConditionalGeneration) -> None:
    """Codes begin as what they are, corners of a cube: neighbours in the image tokenizer are neighbours in and out."""
    bits = image_tokens.corners() * image_tokens.BITS**0.5
    model.model.generation_embeddings.weight.copy_(bits)
    head = model.model.generation_head.vision_head
    directions = torch.nn.init.orthogonal_(torch.empty(image_tokens.BITS, head.in_features))
    head.weight.copy_(bits @ directions / image_tokens.BITS**0.5)
    head.bias.zero_()
    for layer in (model.model.generation_aligner.fc1, *model.model.generation_aligner.hidden_layers):
        torch.nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    torch.nn.init.normal_(model.model.generation_head.proj_out.weight, std=_WIDTH**-0.5)


def _samples(pool_codes: NDArray[np.int64], index: LookIndex, rng: np.random.Generator) -> tuple[list[Sequence], list[int]]:
    """A batch of prompts and the pool's rows whose covers answer them."""
    sequences, rows = [], []
    liked_batch = bool(rng.random() < _LIKED_SHARE)
    for _ in range(_BATCH // 3 if liked_batch else _BATCH):
        row = int(rng.integers(len(pool_codes)))
        referred = bool(rng.random() < _REFERENCE_SHARE)
        liked: list[list[int]] | None = None
        text = ""
        if liked_batch:
            chosen = index.history(index.indices[row, 1:], int(rng.integers(2, 6)), rng)
            liked = pool_codes[chosen].tolist()
            text = text_for("title", index.indices[row], rng).text
        elif rng.random() > _NOTHING_SHARE:
            text = text_for(str(rng.choice(list(_TEXTS), p=list(_TEXTS.values()))), index.indices[row], rng).text
        else:
            referred = False
        sequences.append(prompt(text, liked, reference=referred, rng=rng))
        rows.append(row)
    return sequences, rows


def _loss(
    model: JanusForConditionalGeneration, sequences: list[Sequence], codes_BN: Tensor, kept_BN: Tensor, subject_B: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of the cover's tokens, and at half the weight of the history's: each told by everything before it.

    Besides, a head that is thrown away afterwards tells the subject, from the words' last state and from every state of the
    cover: without it, 1,200 steps had not found that the words decide the shape.
    """
    whole = [one.followed_by(codes) for one, codes in zip(sequences, codes_BN.tolist(), strict=True)]
    places_BT, ids_BT = code_places(whole)
    with half_precision():
        embeds, mask, lengths = embedded(model, whole, soft_tokens(model, codes_BN, kept_BN))
        states = model.model.language_model(inputs_embeds=embeds, attention_mask=mask, use_cache=False).last_hidden_state
        logits = model.model.generation_head(states[:, :-1][places_BT[:, 1:]])
    wrong = functional.cross_entropy(logits.float(), ids_BT[:, 1:][places_BT[:, 1:]], reduction="none")
    columns = torch.arange(places_BT.shape[1], device=device())
    own = (columns >= lengths[:, None] - NUM_TOKENS)[places_BT]
    loss, parts = wrong[own].mean(), {}
    parts["own"] = float(loss.detach())
    drawing = (columns >= lengths[:, None] - NUM_TOKENS) & (columns < lengths[:, None])
    read = functional.cross_entropy(model.subject_head(states[columns == lengths[:, None] - NUM_TOKENS - 1]).float(), subject_B)
    shown = model.subject_head(states[drawing]).float()
    kept = functional.cross_entropy(shown, subject_B.repeat_interleave(NUM_TOKENS))
    loss = loss + _SUBJECT_WEIGHT * (read + kept)
    parts |= {"read": float(read.detach()), "kept": float(kept.detach())}
    if not bool(own.all()):
        loss = loss + _HISTORY_WEIGHT * wrong[~own].mean()
        parts["history"] = float(wrong[~own].mean().detach())
    return loss, parts


def draw(model: TokenModel, requests: list[list[Piece]], *, seed: int) -> Tensor:
    """Covers [B, 3, 64, 64] in 0 to 1, as the product writes them."""
    drawn = []
    for start in range(0, len(requests), _DRAWN_AT_ONCE):
        prompt = model.prompt(requests[start : start + _DRAWN_AT_ONCE])
        codes = model.write(prompt, [seed * 100_003 + start + row for row in range(len(prompt))], SAMPLING)
        drawn.append(model.decode(codes))
    return torch.cat(drawn)


def measure(folder: Path, count: int = 128) -> tuple[dict[str, float], Tensor]:
    """The bars' figures of a checkpoint, read by the judge, and the covers that were drawn from captions."""
    model = open_token_model("janus", str(folder), Compute(device=device(), bfloat16=False))
    eye = AttributeClassifier.from_folder(ZOO / "judge").to(device())
    pool, rng = held_out_pool(max(count, 256)), np.random.default_rng(99)
    indices = torch.from_numpy(pool.indices[:count]).to(device())
    captions = [text_for("caption", row, rng, held_out=True).text for row in pool.indices[:count]]
    titles, subjects = title_subjects(count, 6)
    codes, index = model.encode([Image.fromarray(image) for image in pool.images]), LookIndex(pool.indices)
    liked: list[list[Piece]] = []
    for title, row in zip(titles, pool.indices[:count], strict=True):
        history_HND = model.embed_codes(codes[index.history(row[1:], 5, rng)])
        history_HND[torch.from_numpy(rng.random(history_HND.shape[:2]) < HIDDEN_SHARE)] = 0
        liked.append([LIKED, *map(model.framed, history_HND), TITLE + title])
    asked = indices.clone()
    asked[:, 0] = torch.from_numpy(subjects)
    from_captions = draw(model, [[TITLE + text] for text in captions], seed=1)
    from_titles, from_liked = draw(model, [[TITLE + text] for text in titles], seed=2), draw(model, liked, seed=3)
    figures = {"title_subject": float(attribute_hits(eye, from_titles, asked)[:, 0].float().mean())}
    for kind, images, wanted in (("caption", from_captions, indices), ("liked", from_liked, asked)):
        hits = attribute_hits(eye, images, wanted).float().mean(dim=0)
        figures |= {f"{kind}_{name}": float(value) for name, value in zip(ATTRIBUTE_VALUES, hits, strict=True)}
    squared = (model.decode(codes) - pixels(pool.images)).square().mean()
    return figures | {"psnr_db": float(-10 * torch.log10(squared))}, from_captions


def write(model: JanusForConditionalGeneration, folder: Path) -> None:
    """The folder of a checkpoint, weights in half precision."""
    if hasattr(model, "subject_head"):
        del model.subject_head
    model.half().save_pretrained(folder)
    words().save_pretrained(folder)
    JanusImageProcessorPil(size={"height": 64, "width": 64}, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)


def _export(model: JanusForConditionalGeneration, step: int) -> None:
    final = step == PLAN.steps
    replace_folder(FOLDER, lambda folder: write(model, folder))
    figures, covers = measure(FOLDER, 96 if final else 24)
    log(f"janus step {step}: " + " ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    picture_grid(covers[:24], columns=8).save(CACHE / f"janus_{step}.png")
    write_json(FOLDER / "figures.json", {"step": step, "figures": figures, "bars": BARS})
    missed = [f"{name} {figures[name]:.3f} below {bar}" for name, bar in BARS.items() if figures[name] < bar]
    if final:
        shutil.copytree(FOLDER, SHIPPED, dirs_exist_ok=True, ignore=shutil.ignore_patterns("figures.json"))
        log(f"janus: shipped; bars missed: {'; '.join(missed) or 'none'}")


def run() -> None:
    """Train and export the token model."""
    pool = training_pool()
    index = LookIndex(pool.indices)
    tokenizer = image_tokens.load()
    codes = image_tokens.pool_codes(tokenizer, pool)

    def loss_of(model: JanusForConditionalGeneration, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        sequences, rows = _samples(codes, index, rng)
        kept = torch.from_numpy(rng.random((len(rows), NUM_TOKENS)) < rng.random((len(rows), 1))).to(device())
        subjects = torch.from_numpy(pool.indices[rows, 0]).to(device())
        return _loss(model, sequences, torch.from_numpy(codes[rows]).to(device()), kept, subjects)

    train(PLAN, build(tokenizer), loss_of, _export)
