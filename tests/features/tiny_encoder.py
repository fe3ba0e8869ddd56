"""A random dual encoder in transformers' own format, small enough to make in a second."""

import json
from pathlib import Path


def make_encoder(folder: Path, seed: int = 0) -> Path:
    """A random CLIP of 16 x 16 pixels, E = 8, and a word tokenizer, in transformers' own format."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "projection_dim": 8}
    text = {**tower, "vocab_size": 40, "max_position_embeddings": 10, "bos_token_id": 3, "eos_token_id": 4, "pad_token_id": 4}
    CLIPModel(
        CLIPConfig(text_config=text, vision_config={**tower, "image_size": 16, "patch_size": 4}, projection_dim=8)
    ).save_pretrained(folder)
    words = {word: number for number, word in enumerate(["<unk>", "the", "of", "<s>", "</s>", "quiet", "moon", "sea", "tree"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 3), ("</s>", 4)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    ).save_pretrained(folder)
    config = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}, "resample": 3, "do_center_crop": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(config | {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    return folder
