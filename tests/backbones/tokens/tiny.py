"""Tiny random checkpoints of every token family: real classes, real tokenizers trained on the spot, safetensors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers as hf

from tests.backbones.language.tiny import TEXT, special, spelling, write

JANUS_MARKS = ["<|User|>", "<|Assistant|>", "<begin_of_image>", "<end_of_image>", "<image_placeholder>"]
EMU3_MARKS = ["<image>", "<|image start|>", "<|image token|>", "<|image end|>", "<|extra_200|>", "<|extra_201|>"]
NUM_CODES = 16


def _words(marks: list[str], bos: str) -> Any:
    ends = {"bos_token": bos, "eos_token": "<|end|>", "pad_token": bos}
    return hf.PreTrainedTokenizerFast(tokenizer_object=spelling([bos, "<|end|>", *marks]), **ends)


def janus(folder: Path) -> None:
    """32 pixels a side, four codes a side."""
    words = _words(JANUS_MARKS, "<|begin|>")
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    config = hf.JanusConfig(
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(words), "pad_token_id": 0},
        vision_config={**vision, "mlp_ratio": 1.0, "projection_dim": 32, "depth": 1, "num_image_tokens": 16},
        vq_config={
            "embed_dim": 4,
            "num_embeddings": NUM_CODES,
            "latent_channels": 8,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "num_patches": 4,
            "projection_dim": 32,
            "image_token_embed_dim": 32,
        },
        **special(words, image_token_id="<image_placeholder>"),
    )
    pictures = hf.JanusImageProcessorPil(size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    write(folder, hf.JanusForConditionalGeneration(config), words, pictures)


def emu3(folder: Path) -> None:
    """16 pixels a side, four codes a side."""
    codes = [f"<|visual token {number:06d}|>" for number in range(NUM_CODES)]
    words = _words([*EMU3_MARKS, *codes], "<|extra_203|>")
    config = hf.Emu3Config(
        text_config={
            **TEXT,
            "vocab_size": len(words),
            "attention_dropout": 0.0,
            "pad_token_id": 0,
            **special(words, bos_token_id="<|extra_203|>", eos_token_id="<|end|>"),
        },
        vq_config={
            "codebook_size": NUM_CODES,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1],
            "num_res_blocks": 1,
            "attn_resolutions": [2],
            "hidden_size": 32,
        },
        vocabulary_map=words.get_vocab(),
    )
    pictures = hf.Emu3ImageProcessor(min_pixels=16 * 16, max_pixels=16 * 16, spatial_factor=4)
    write(folder, hf.Emu3ForConditionalGeneration(config), words, pictures)


TINY_TOKENS: dict[str, Callable[[Path], None]] = {"janus": janus, "emu3": emu3}
"""Family to the function that writes its tiny checkpoint into a folder."""
