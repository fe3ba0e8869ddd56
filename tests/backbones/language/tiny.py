"""Tiny random checkpoints of every language family: real classes, real tokenizers trained on the spot, safetensors.

Each writer fills a folder that the production code loads; the same folder byte for byte every time.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CORPUS = ["the boat at dawn, the last mountain of them all", "user assistant User: Assistant: model", "a red fox on warm paper"]
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 1024, **HEADS}
EYE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32}
QWEN_MARKS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
LLAVA_MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
INTERNVL_MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
IDEFICS_MARKS = ["<fake_token_around_image>", "<global-img>", "<row_1_col_1>", "<image>", "<end_of_utterance>"]
GEMMA_ENDS = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
GEMMA_MARKS = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<image_soft_token>", "<end_of_image>"]


def spelling(marks: list[str]) -> Tokenizer:
    """Byte-level BPE: every byte is a token, so any text can be written."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False))
    words.add_special_tokens(marks)
    return words


def qwen_words(marks: list[str]) -> Any:
    model = spelling([]).to_str()
    state = json.loads(model)["model"]
    words = hf.Qwen2Tokenizer(vocab=state["vocab"], merges=[tuple(pair) for pair in state["merges"]], eos_token="<|im_end|>")
    words.add_special_tokens({"additional_special_tokens": marks})
    return words


def llama_words(marks: list[str], bos: str) -> Any:
    ends = {"bos_token": bos, "eos_token": "<end_of_utterance>", "pad_token": bos}
    return hf.PreTrainedTokenizerFast(tokenizer_object=spelling([bos, *marks]), **ends)


def gemma_words() -> Any:
    """BPE over words with a mark for blanks; unknown characters are spelled in bytes."""
    learner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    spelled = [*GEMMA_ENDS, *(f"<0x{byte:02X}>" for byte in range(256))]
    learner.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=340, special_tokens=spelled, show_progress=False))
    state = json.loads(learner.to_str())["model"]
    words = hf.GemmaTokenizer(vocab=state["vocab"], merges=[tuple(pair) for pair in state["merges"]])
    words.add_special_tokens({"additional_special_tokens": GEMMA_MARKS})
    return words


def write(folder: Path, model: Any, words: Any, pictures: Any) -> None:
    """Weights drawn from one seed, wide enough that every part of the model shows in its states."""
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            drawn = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                weight.copy_(drawn * 0.5 * weight[0].numel() ** -0.5)
            else:
                start = weight[0] if bool((weight == weight[0]).all()) else 0.0  # gains begin at one, other vectors anywhere
                weight.copy_(start + drawn * 0.05)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    pictures.save_pretrained(folder)


def special(words: Any, **names: str) -> dict[str, int]:
    return {field: words.convert_tokens_to_ids(token) for field, token in names.items()}


def _qwen(folder: Path, version: str, vision: dict[str, Any], extra_text: dict[str, Any]) -> None:
    words = qwen_words(QWEN_MARKS)
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}
    config = getattr(hf, f"{version}Config")(
        text_config={**TEXT, "vocab_size": len(words), "rope_parameters": rope, "pad_token_id": 0, **extra_text},
        vision_config={
            "depth": 2,
            "num_heads": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            **vision,
        },
        **special(words, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
        **special(words, vision_start_token_id="<|vision_start|>", vision_end_token_id="<|vision_end|>"),
    )
    pictures = hf.Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
    )
    write(folder, getattr(hf, f"{version}ForConditionalGeneration")(config), words, pictures)


def qwen2_vl(folder: Path) -> None:
    _qwen(folder, "Qwen2VL", {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2}, {"bos_token_id": None, "eos_token_id": 2})


def qwen2_5_vl(folder: Path) -> None:
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "out_hidden_size": 32,
        "window_size": 32,
        "fullatt_block_indexes": [1],
    }
    _qwen(folder, "Qwen2_5_VL", vision, {})


def qwen3_vl(folder: Path) -> None:
    vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 32, "num_position_embeddings": 16}
    _qwen(folder, "Qwen3VL", {**vision, "deepstack_visual_indexes": [0]}, {"head_dim": 8})


def llava_onevision(folder: Path) -> None:
    words = qwen_words(LLAVA_MARKS)
    config = hf.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **TEXT, "vocab_size": len(words)},
        vision_config={"model_type": "siglip_vision_model", **EYE, "patch_size": 8, "vision_use_head": False},
        image_grid_pinpoints=[[32, 32], [32, 64], [64, 32]],
        **special(words, image_token_index="<image>", video_token_index="<video>"),
    )
    pictures = hf.LlavaOnevisionImageProcessorPil(size={"height": 32, "width": 32}, image_grid_pinpoints=[[32, 32], [32, 64]])
    write(folder, hf.LlavaOnevisionForConditionalGeneration(config), words, pictures)


def _idefics(folder: Path, version: str, bos: str) -> None:
    words = llama_words(IDEFICS_MARKS, bos)
    config = getattr(hf, f"{version}Config")(
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(words), "pad_token_id": 0},
        vision_config={**EYE, "patch_size": 4},
        scale_factor=2,
        **special(words, image_token_id="<image>"),
    )
    pictures = getattr(hf, f"{version}ImageProcessorPil")(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    write(folder, getattr(hf, f"{version}ForConditionalGeneration")(config), words, pictures)


def idefics3(folder: Path) -> None:
    _idefics(folder, "Idefics3", "<|begin_of_text|>")


def smolvlm(folder: Path) -> None:
    _idefics(folder, "SmolVLM", "<|im_start|>")


def internvl(folder: Path) -> None:
    words = qwen_words(INTERNVL_MARKS)
    config = hf.InternVLConfig(
        text_config={"model_type": "qwen2", **TEXT, "vocab_size": len(words)},
        vision_config={**EYE, "image_size": [32, 32], "patch_size": [4, 4]},
        image_seq_length=16,
        **special(words, image_token_id="<IMG_CONTEXT>"),
    )
    pictures = hf.GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}, crop_to_patches=True)
    write(folder, hf.InternVLForConditionalGeneration(config), words, pictures)


def gemma3(folder: Path) -> None:
    """One layer with a window shorter than the prompts, one that sees everything."""
    words = gemma_words()
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 12, "head_dim": 8}
    config = hf.Gemma3Config(
        text_config={**TEXT, "vocab_size": len(words), "query_pre_attn_scalar": 8, **layers},
        vision_config={"model_type": "siglip_vision_model", **EYE, "patch_size": 4},
        mm_tokens_per_image=16,
        **special(words, image_token_index="<image_soft_token>"),
        **special(words, boi_token_index="<start_of_image>", eoi_token_index="<end_of_image>"),
    )
    pictures = hf.Gemma3ImageProcessorPil(size={"height": 32, "width": 32})
    write(folder, hf.Gemma3ForConditionalGeneration(config), words, pictures)


TINY_LANGUAGE: dict[str, Callable[[Path], None]] = {
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "llava_onevision": llava_onevision,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
    "internvl": internvl,
    "gemma3": gemma3,
}
"""Family to the function that writes its tiny checkpoint into a folder."""
