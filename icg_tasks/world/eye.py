"""A small convolutional classifier that reads a cover's attributes from its pixels.

Two independently trained ones ship with the zoo: ``zoo/judge`` measures, ``zoo/oracle_eye`` is the oracle's sight. Knows
pixels and attribute names, nothing of users. The only module of the world that needs torch; import it where it is used.
Run: ``AttributeClassifier.from_folder("zoo/judge")``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from icg_tasks.world.attributes import ATTRIBUTE_VALUES

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_MODEL_TYPE: Final = "attribute_classifier"


class EyeConfigError(ValueError):
    """A classifier's folder says something this class cannot build."""


@dataclass(frozen=True, kw_only=True)
class EyeConfig:
    """``width``: channels after the first convolution, doubled at each of ``stages`` halvings of the image."""

    width: int
    stages: int
    image_size: int = 64


def _block(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(4, channels_out),
        nn.SiLU(),
    )


class AttributeClassifier(nn.Module):
    """Pixels (B, 3, 64, 64) in 0 to 1 to logits per attribute, in the order of ATTRIBUTE_VALUES.

    Global mean and maximum of the last map feed one linear head per attribute, so the gradient reaches every pixel.
    """

    def __init__(self, config: EyeConfig) -> None:
        super().__init__()
        self.config = config
        blocks: list[nn.Module] = [_block(3, config.width, 1)]
        width = config.width
        for _ in range(config.stages):
            blocks += [_block(width, 2 * width, 2), _block(2 * width, 2 * width, 1)]
            width *= 2
        self.body = nn.Sequential(*blocks)
        self.heads = nn.ModuleDict({name: nn.Linear(2 * width, len(values)) for name, values in ATTRIBUTE_VALUES.items()})

    def forward(self, pixels_bchw: Tensor) -> dict[str, Tensor]:
        """Logits by attribute, each (B, number of values)."""
        maps = self.body(pixels_bchw * 4.0 - 2.0)
        pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        return {name: head(pooled) for name, head in self.heads.items()}

    @torch.no_grad()
    def probabilities(self, pixels_bchw: Tensor) -> dict[str, Tensor]:
        """Softmax probabilities by attribute, each (B, number of values)."""
        return {name: logits.float().softmax(dim=1) for name, logits in self(pixels_bchw).items()}

    def save_to_folder(self, folder: str | Path) -> None:
        """Write config.json and fp16 weights in model.safetensors."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        config = {
            "model_type": _MODEL_TYPE,
            "attributes": {k: list(v) for k, v in ATTRIBUTE_VALUES.items()},
            **asdict(self.config),
        }
        (path / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        save_file({name: tensor.half().contiguous() for name, tensor in self.state_dict().items()}, path / _WEIGHTS)

    @classmethod
    def from_folder(cls, folder: str | Path) -> AttributeClassifier:
        """The classifier of a folder, fp32, in evaluation mode; raises EyeConfigError if it is not of this catalogue."""
        path = Path(folder)
        config = json.loads((path / _CONFIG).read_text(encoding="utf-8"))
        expected = {name: list(values) for name, values in ATTRIBUTE_VALUES.items()}
        if config.get("model_type") != _MODEL_TYPE or config.get("attributes") != expected:
            raise EyeConfigError(
                f"{path / _CONFIG} is no {_MODEL_TYPE} of this catalogue; train it again with the zoo's recipe"
            )
        eye = cls(EyeConfig(width=config["width"], stages=config["stages"], image_size=config["image_size"]))
        eye.load_state_dict({name: tensor.float() for name, tensor in load_file(path / _WEIGHTS).items()})
        return eye.eval()
