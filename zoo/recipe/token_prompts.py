"""The language of the token model: its tokenizer, its prompts, and a prompt's embeddings.

A prompt is a row of words and image tokens; a token may be hidden (a zero vector), and a reference is one soft token, the mean
of its tokens: what masked histories and references look like to Pigeon. Does not know the model. Nothing to run here.
Legend: B samples, T positions, N image tokens, D width.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from icg_tasks.models.pigeon.sequence import LIKED, REFERENCE, TITLE
from zoo.recipe.tokenizer import corpus
from zoo.recipe.workshop import device

BOS, EOS, PAD = "<|begin_of_sentence|>", "<|end_of_sentence|>", "<|pad|>"
BEGIN_IMAGE, END_IMAGE, PLACEHOLDER = "<begin_of_image>", "<end_of_image>", "<image_placeholder>"
ASK, ANSWER = "<|User|>: ", "\n\n<|Assistant|>:"
_MERGED_VOCABULARY: Final = 1_100
HIDDEN_SHARE: Final = 0.2


@cache
def words() -> PreTrainedTokenizerFast:
    """Byte-level BPE over captions and titles; every byte is a token."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer, learner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=_MERGED_VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    learner.train_from_iterator([*corpus(), *[f"{LIKED} {TITLE} {REFERENCE} {ASK} {ANSWER}"] * 100], trainer)
    learner.add_special_tokens([BOS, EOS, PAD, BEGIN_IMAGE, END_IMAGE, PLACEHOLDER])
    extra = {"boi_token": BEGIN_IMAGE, "eoi_token": END_IMAGE, "image_token": PLACEHOLDER}
    return PreTrainedTokenizerFast(
        tokenizer_object=learner, bos_token=BOS, eos_token=EOS, pad_token=PAD, extra_special_tokens=extra
    )


class Sequence:
    """One sample as the model takes it: per position a word, an image code, nothing, or the reference's soft token."""

    WORD, CODE, NOTHING, SOFT = range(4)

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.ids: list[int] = []

    def text(self, text: str) -> None:
        """Words; marks in them are read as marks."""
        self._add(self.WORD, words()(text, add_special_tokens=False)["input_ids"])

    def image(self, codes: list[int], hidden: NDArray[np.bool_] | None = None) -> None:
        """An image between its marks; ``hidden`` tokens become zero vectors."""
        self.text(BEGIN_IMAGE)
        kept = np.zeros(len(codes), dtype=bool) if hidden is None else hidden
        self.kinds += [self.NOTHING if gone else self.CODE for gone in kept.tolist()]
        self.ids += codes
        self.text(END_IMAGE)

    def soft(self) -> None:
        """The place of the reference's one token."""
        self._add(self.SOFT, [0])

    def followed_by(self, codes: list[int]) -> Sequence:
        """This row and an image's tokens behind it."""
        whole = Sequence()
        whole.kinds, whole.ids = self.kinds + [self.CODE] * len(codes), self.ids + codes
        return whole

    def _add(self, kind: int, ids: list[int]) -> None:
        self.kinds += [kind] * len(ids)
        self.ids += ids


def prompt(text: str, liked: list[list[int]] | None = None, *, reference: bool, rng: np.random.Generator) -> Sequence:
    """Everything up to the mark after which the cover's tokens come; an empty request is the unconditional prompt."""
    sequence = Sequence()
    sequence.text(BOS + ASK)
    if liked:
        sequence.text(LIKED)
        for codes in liked:
            sequence.image(codes, rng.random(len(codes)) < HIDDEN_SHARE)
    if text:
        sequence.text(TITLE + text)
    if reference:
        sequence.text(REFERENCE)
        sequence.soft()
    sequence.text(ANSWER + BEGIN_IMAGE)
    return sequence


def embedded(model: Any, sequences: list[Sequence], soft_BD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [B, T, D] padded on the right, mask [B, T], and each sequence's length [B]."""
    pad = torch.nn.utils.rnn.pad_sequence
    kinds = pad([torch.tensor(one.kinds) for one in sequences], batch_first=True, padding_value=Sequence.NOTHING).to(device())
    ids = pad([torch.tensor(one.ids) for one in sequences], batch_first=True).to(device())
    lengths = torch.tensor([len(one.ids) for one in sequences], device=device())
    is_word, is_code = kinds == Sequence.WORD, kinds == Sequence.CODE
    found = model.get_input_embeddings()(ids * is_word) * is_word[..., None]
    found = found + model.prepare_embeddings_for_image_generation(ids * is_code) * is_code[..., None]
    found = found + soft_BD[:, None] * (kinds == Sequence.SOFT)[..., None]
    return found, (torch.arange(ids.shape[1], device=device()) < lengths[:, None]).long(), lengths


def code_places(sequences: list[Sequence]) -> tuple[Tensor, Tensor]:
    """Where images' codes stand, hidden ones too [B, T] booleans, and all ids [B, T]; padded as ``embedded`` pads."""
    pad = torch.nn.utils.rnn.pad_sequence
    kinds = pad([torch.tensor(one.kinds) for one in sequences], batch_first=True, padding_value=Sequence.WORD)
    ids = pad([torch.tensor(one.ids) for one in sequences], batch_first=True)
    return ((kinds == Sequence.CODE) | (kinds == Sequence.NOTHING)).to(device()), ids.to(device())


def soft_tokens(model: Any, codes_BN: Tensor, kept_BN: Tensor) -> Tensor:
    """Mean embedding [B, D] of the kept tokens of a reference."""
    embeds = model.prepare_embeddings_for_image_generation(codes_BN)
    return (embeds * kept_BN[..., None]).sum(dim=1) / kept_BN.sum(dim=1, keepdim=True).clamp(min=1)
