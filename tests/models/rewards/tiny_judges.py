"""Random judges small enough to make in a second, saved as real checkpoints in transformers' own format."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from tests.features.tiny_encoder import make_encoder

SIZES, NUMBERS = (1024, 128, 64, 16, 1), (0, 2, 4, 6, 7)
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def make_clip(folder: Path, seed: int = 0, logit_scale: float = 3.0) -> Path:
    """A random CLIP of 16 x 16 pixels, E = 8, whose logit scale is none that an initialisation gives."""
    from transformers import CLIPModel

    make_encoder(folder, seed)
    model = CLIPModel.from_pretrained(folder)
    _spread(model)
    model.logit_scale.data.fill_(logit_scale)
    model.save_pretrained(folder)
    return folder


def make_siglip(folder: Path, seed: int = 0) -> Path:
    """A random SigLIP of 16 x 16 pixels, E = 16, with a bias."""
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    make_encoder(folder, seed)  # for its tokenizer
    torch.manual_seed(seed)
    text = {**TOWER, "vocab_size": 40, "max_position_embeddings": 6, "projection_size": 16, "pad_token_id": 4}
    config = SiglipConfig(text_config=text, vision_config={**TOWER, "image_size": 16, "patch_size": 4})
    model = SiglipModel(config)
    _spread(model)
    model.logit_scale.data.fill_(1.5)
    model.logit_bias.data.fill_(-2.5)
    model.save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def make_blip(folder: Path, seed: int = 0) -> Path:
    """A random BLIP for image-text matching, 16 x 16 pixels, text width 16, and a word tokenizer."""
    from transformers import BlipConfig, BlipForImageTextRetrieval, BlipImageProcessorPil

    make_encoder(folder, seed)  # for its tokenizer
    torch.manual_seed(seed)
    text = {**TOWER, "vocab_size": 40, "max_position_embeddings": 40, "bos_token_id": 3, "eos_token_id": 4, "pad_token_id": 4}
    vision = {**TOWER, "hidden_size": 24, "image_size": 16, "patch_size": 4}
    model = BlipForImageTextRetrieval(BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=8))
    _spread(model)
    model.save_pretrained(folder)
    BlipImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def make_head(file: Path, num_features: int, seed: int = 0, prefix: str = "") -> dict[str, torch.Tensor]:
    """A random head of the public predictor's shape; its tensors by the plain names."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    fan_in = num_features
    for number, fan_out in zip(NUMBERS, SIZES, strict=True):
        tensors[f"layers.{number}.weight"] = torch.randn(fan_out, fan_in, generator=generator) / fan_in**0.5
        tensors[f"layers.{number}.bias"] = torch.randn(fan_out, generator=generator)
        fan_in = fan_out
    file.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file({f"{prefix}{name}": tensor for name, tensor in tensors.items()}, file)
    return tensors


def by_hand(tensors: dict[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    """What the head makes of features [B, F], layer by layer."""
    for number in NUMBERS:
        features = features @ tensors[f"layers.{number}.weight"].T + tensors[f"layers.{number}.bias"]
    return features[:, 0]


def rewrite(file: Path, **changes: Any) -> None:
    """Change fields of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def _spread(model: torch.nn.Module) -> None:
    """Weights so large that different images and titles give scores that differ."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5)
