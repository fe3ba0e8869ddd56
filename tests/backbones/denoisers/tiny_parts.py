"""The parts of tiny pipelines: UNet, autoencoder, text encoders with random weights, tokenizers trained on the spot."""

import json
from functools import cache
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from tokenizers import pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

SIZE_PIXELS = 32
CLIP_LENGTH, T5_LENGTH = 8, 12
_TEXTS = ["a cover of a rocket, in neon colours", "a quiet harbour at dawn", "The Tree", "two cups and a lamp", "mountains"]


def tiny_unet(width: int, **added: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=width,
        **added,
    )


def tiny_vae(channels: int, **scaling: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=SIZE_PIXELS,
        **scaling,
    )


def tiny_clip(kind: Any, width: int, projection: int = 8) -> Any:
    words = tiny_clip_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=projection,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CLIP_LENGTH,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return kind(config)


def tiny_t5(width: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=len(tiny_t5_tokenizer()),
        d_model=width,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return T5EncoderModel(config)


@cache
def tiny_clip_tokenizer() -> CLIPTokenizer:
    """Byte-level BPE in CLIP's form; the end token has the last id, since id 2 would mean another way of pooling."""
    begin, end = "<|startoftext|>", "<|endoftext|>"
    learner = CLIPTokenizer().backend_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=640, end_of_word_suffix="</w>", show_progress=False, special_tokens=[begin, end])
    learner.train_from_iterator(_TEXTS, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters), *(first + second for first, second in merges)]
    vocabulary = {piece: number for number, piece in enumerate([*dict.fromkeys(pieces), begin, end])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CLIP_LENGTH)


@cache
def tiny_t5_tokenizer() -> T5Tokenizer:
    """Unigram pieces in T5's form, every ASCII letter among them."""
    learner = T5Tokenizer(extra_ids=0).backend_tokenizer
    trainer = trainers.UnigramTrainer(
        vocab_size=160, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
        initial_alphabet=[chr(code) for code in range(33, 127)],
    )  # fmt: skip
    learner.train_from_iterator(_TEXTS * 4, trainer)
    vocabulary = [(piece, score) for piece, score in json.loads(learner.to_str())["model"]["vocab"]]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=T5_LENGTH)
