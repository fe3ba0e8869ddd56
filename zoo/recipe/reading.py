"""The language of the multimodal model: its tokenizer, its prompts and its image patches.

Two kinds of conversation: turns of "cover and title, what is it?" and "covers a reader liked, the next title, which cover?".
Does not know the model. Nothing to run here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import pre_tokenizers, trainers
from torch import Tensor
from transformers import Qwen2Tokenizer

from icg_tasks.world import ATTRIBUTE_VALUES, CoverAttributes, attributes_from_indices
from zoo.recipe.pool import text_for
from zoo.recipe.tokenizer import corpus

PATCH: Final = 8
MERGE: Final = 2
TOKENS_PER_IMAGE: Final = (64 // PATCH // MERGE) ** 2
SPECIAL_TOKENS: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_PICTURE: Final = "<|vision_start|>" + "<|image_pad|>" * TOKENS_PER_IMAGE + "<|vision_end|>"
_MERGED_VOCABULARY: Final = 1_100
_TASTE_STRENGTH: Final = 0.8


@cache
def tokenizer() -> Qwen2Tokenizer:
    """Byte-level BPE in Qwen's form; every byte is a token, so any text can be written."""
    learner = Qwen2Tokenizer().backend_tokenizer
    sentences = [plain_caption(attributes_from_indices((i % 12, i % 8, i % 4, i // 4 % 4, i % 2))) for i in range(192)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    texts = [*corpus(), *sentences * 20, *(f"liked {s}" for s in sentences)]
    trainer = trainers.BpeTrainer(vocab_size=_MERGED_VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    learner.train_from_iterator(texts, trainer)
    state = json.loads(learner.to_str())["model"]
    vocabulary = {piece: number for piece, number in state["vocab"].items() if piece not in SPECIAL_TOKENS}
    vocabulary = {piece: number for number, piece in enumerate(vocabulary)}
    marks = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    words = Qwen2Tokenizer(vocab=vocabulary, merges=[tuple(pair) for pair in state["merges"]], **marks)
    words.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    return words


def plain_caption(attributes: CoverAttributes) -> str:
    """The caption the model learns to write: always the same words in the same order."""
    look = attributes.look
    return f"a {attributes.subject}, {look.palette} palette, {look.layout} layout, {look.texture} background, {look.density}"


def read_caption(text: str) -> tuple[int, ...]:
    """Attribute indices named by a written caption, -1 where none is; the inverse of plain_caption."""
    words = text.replace("<|im_end|>", " ").replace(",", " ").split()
    found = []
    for values in ATTRIBUTE_VALUES.values():
        named = [values.index(word) for word in words if word in values]
        found.append(named[0] if named else -1)
    return tuple(found)


def picture_turn(title: str) -> str:
    """The user's part about one cover; ``title`` may be empty."""
    return f"<|im_start|>user\n{_PICTURE}{title}<|im_end|>\n<|im_start|>assistant\n"


def taste_turn(liked_titles: list[str], next_title: str) -> str:
    """The user's part about a history of covers and the title that needs one."""
    liked = "".join(f"{_PICTURE}{title}\n" for title in liked_titles)
    return f"<|im_start|>user\n{liked}next: {next_title}<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """(text, is answer) pieces in order, and the rows of the pool whose covers the pictures show."""

    pieces: list[tuple[str, bool]]
    rows: list[int]


def _answer(attributes: CoverAttributes) -> tuple[str, bool]:
    return f"{plain_caption(attributes)}<|im_end|>", True


def _title(row: NDArray[np.int64], rng: np.random.Generator, *, held_out: bool) -> str:
    return text_for("title", row, rng, held_out=held_out).text


def captioning(
    indices: NDArray[np.int64], rng: np.random.Generator, *, turns: int, titled: float, held_out: bool = False
) -> Conversation:
    """Turns about random covers; a title is given with probability ``titled``."""
    rows = rng.integers(len(indices), size=turns).tolist()
    pieces: list[tuple[str, bool]] = []
    for number, row in enumerate(rows):
        title = _title(indices[row], rng, held_out=held_out) if rng.random() < titled else ""
        before = "\n" if number else ""
        pieces += [(before + picture_turn(title), False), _answer(attributes_from_indices(tuple(indices[row].tolist())))]
    return Conversation(pieces=pieces, rows=rows)


class LookIndex:
    """Finds covers of the pool by look, so that histories with a taste can be put together quickly."""

    def __init__(self, indices: NDArray[np.int64]) -> None:
        self.indices = indices

    def history(self, look: NDArray[np.int64], length: int, rng: np.random.Generator) -> list[int]:
        """Rows of covers that share each attribute of ``look`` (4,) with a certain probability."""
        candidates = rng.integers(len(self.indices), size=600)
        agreement = (self.indices[candidates, 1:] == look).astype(float)
        noisy = agreement @ np.array([1.5, 1.0, 1.0, 0.7]) + rng.gumbel(size=len(candidates)) * (1 - _TASTE_STRENGTH)
        return [int(row) for row in candidates[np.argsort(-noisy)[:length]]]


def tasting(index: LookIndex, rng: np.random.Generator, *, length: int, held_out: bool = False) -> Conversation:
    """A history and the next title; the answer wears, attribute by attribute, the history's most frequent value."""
    look = np.array([rng.integers(len(values)) for values in list(ATTRIBUTE_VALUES.values())[1:]])
    rows = index.history(look, length, rng)
    wanted = index.indices[int(rng.integers(len(index.indices)))].copy()
    for column in range(1, 5):
        wanted[column] = int(np.bincount(index.indices[rows, column]).argmax())
    titles = [_title(index.indices[row], rng, held_out=held_out) for row in rows]
    question = taste_turn(titles, _title(wanted, rng, held_out=held_out))
    return Conversation(pieces=[(question, False), _answer(attributes_from_indices(tuple(wanted.tolist())))], rows=rows)


def patches(images: Tensor) -> Tensor:
    """Pixels (N, 3, 64, 64) in 0 to 1 to Qwen's flat patches (N * 64, 3 * 2 * 8 * 8), mean 0.5 and deviation 0.25."""
    side = 64 // PATCH // MERGE
    tiles = ((images - 0.5) / 0.25).reshape(len(images), 3, side, MERGE, PATCH, side, MERGE, PATCH)
    tiles = tiles.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6)
    return tiles.expand(-1, -1, -1, -1, -1, -1, 2, -1, -1).reshape(len(images) * (64 // PATCH) ** 2, -1)


def batch(conversations: list[Conversation]) -> dict[str, Tensor]:
    """Token ids, mask, picture marks and labels (-100 outside answers), padded on the right; (B, longest)."""
    words = tokenizer()
    ids, labels = [], []
    for conversation in conversations:
        row: list[int] = []
        wanted: list[int] = []
        for text, is_answer in conversation.pieces:
            piece = words(text)["input_ids"]
            row += piece
            wanted += piece if is_answer else [-100] * len(piece)
        ids.append(torch.tensor(row))
        labels.append(torch.tensor(wanted))
    pad = torch.nn.utils.rnn.pad_sequence
    input_ids = pad(ids, batch_first=True, padding_value=int(words.pad_token_id))
    mask = pad([torch.ones_like(row) for row in ids], batch_first=True)
    marks = (input_ids == words.convert_tokens_to_ids("<|image_pad|>")).int()
    wanted_ids = pad(labels, batch_first=True, padding_value=-100)
    return {"input_ids": input_ids, "attention_mask": mask, "mm_token_type_ids": marks, "labels": wanted_ids}
