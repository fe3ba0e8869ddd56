"""Builds the tokenizer of the dual encoder: byte-level BPE in CLIP's own form, so any text has tokens.

Does not know models. Called by ``zoo.recipe.encoder``.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np
from tokenizers import pre_tokenizers, trainers
from transformers import CLIPTokenizer

from icg_tasks.world import MOODS, caption, make_title, sample_attributes

CONTEXT: Final = 32
_MERGED_VOCABULARY: Final = 1_200
_BEGIN, _END = "<|startoftext|>", "<|endoftext|>"


def corpus(count: int = 30_000, seed: int = 11) -> list[str]:
    """Titles and captions in equal shares."""
    rng = np.random.default_rng(seed)
    texts = []
    for number in range(count // 2):
        attributes = sample_attributes(rng)
        texts += [make_title(attributes.subject, MOODS[number % len(MOODS)], rng), caption(attributes, rng)]
    return texts


def build() -> CLIPTokenizer:
    """A tokenizer with every byte as a fallback, so no text maps to the unknown token; the end token has the last id."""
    learner = CLIPTokenizer().backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=_MERGED_VOCABULARY, end_of_word_suffix="</w>", show_progress=False, special_tokens=[_BEGIN, _END]
    )
    learner.train_from_iterator(corpus(), trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters)]
    pieces += [piece for piece in dict.fromkeys(first + second for first, second in merges) if piece not in set(pieces)]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, _BEGIN, _END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT)
