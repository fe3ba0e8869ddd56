"""A small network from image features to an aesthetic score: the shipped head or the public CLIP predictor's shape.

The shipped head reads mean and deviation over the patches of a shallow layer (final embeddings overlook damage: correlation
0.66 against 0.89). The public predictor (LAION's, converted to safetensors) is a stack of linear layers on the final
embedding. Knows safetensors; no image. Legend: B images, F features.
"""

import json
import re
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.contracts.errors import DataCorrupt, DataMissing

_ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "none": nn.Identity}
_LAYER_NAME = re.compile(r"^(?:[A-Za-z_]+\.)*(\d+)\.(weight|bias)$")
_MAX_BYTES = 200_000_000
_WEIGHTS, _CONFIG = "model.safetensors", "config.json"


class AestheticHead(nn.Module):
    """Linear layers with one activation between; ``feature_layer`` None = the encoder's final unit embedding."""

    def __init__(self, layers: list[nn.Linear], activation: str, feature_layer: int | None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.activation = _ACTIVATIONS[activation]()
        self.feature_layer = feature_layer

    @classmethod
    def load(cls, folder: Path | str) -> "AestheticHead":
        """From ``model.safetensors`` with keys ``….<number>.weight`` and ``….bias``, layers in the order of their numbers.

        ``config.json`` may name ``feature_layer`` and ``activation`` (gelu, relu, none); without it, or where a safetensors
        file is named itself, it is the public predictor: final embedding, no activation. Raises DataMissing where nothing is
        there, DataCorrupt where the files do not make a head.
        """
        path = Path(folder)
        weights = path if path.is_file() else path / _WEIGHTS
        if not weights.is_file():
            raise DataMissing(f"aesthetic head {path}: expected {_WEIGHTS} there, or a safetensors file; found neither")
        try:
            config: dict[str, Any] = json.loads((path / _CONFIG).read_text()) if (path / _CONFIG).is_file() else {}
            size = weights.stat().st_size
            if size > _MAX_BYTES:
                raise ValueError(f"{weights.name} has {size} bytes, more than any head needs")
            layers = _linear_layers(safetensors.torch.load_file(weights))
            layer = config.get("feature_layer")
            head = cls(layers, str(config.get("activation", "none")), None if layer is None else int(layer))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise DataCorrupt(f"no usable aesthetic head in {path} ({error}); see zoo/aesthetic for the form") from error
        return head.eval().requires_grad_(False)

    @property
    def num_features(self) -> int:
        """F."""
        return int(self.layers[0].in_features)  # type: ignore[arg-type]

    def check_fits(self, encoder: DualEncoder) -> None:
        """Raise DataCorrupt where this encoder's features have another width."""
        vision: Any = getattr(encoder.model.config, "vision_config", None)
        wanted = encoder.embedding_width if self.feature_layer is None else 2 * int(vision.hidden_size)
        if wanted != self.num_features:
            raise DataCorrupt(
                f"the aesthetic head takes {self.num_features} features, encoder {encoder.identity} gives {wanted}; "
                "name the head that was trained on this encoder (backbones.aesthetic), or none"
            )

    def scores(self, features_BF: Tensor) -> Tensor:
        """Scores [B], about 1 (ruined) to 10 (pristine)."""
        found = features_BF
        for number, layer in enumerate(self.layers):
            found = layer(self.activation(found) if number else found)
        return found.squeeze(-1)


def _linear_layers(tensors: dict[str, Tensor]) -> list[nn.Linear]:
    parts: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _LAYER_NAME.match(name)
        if match is None:
            raise ValueError(f"tensor {name!r} is not of a numbered linear layer")
        parts.setdefault(int(match[1]), {})[match[2]] = tensor.float()
    layers: list[nn.Linear] = []
    for number in sorted(parts):
        weight, bias = parts[number]["weight"], parts[number]["bias"]
        if weight.ndim != 2 or bias.shape != weight.shape[:1] or (layers and layers[-1].out_features != weight.shape[1]):
            raise ValueError(f"layer {number} of shape {tuple(weight.shape)} does not follow the one before")
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        layers.append(layer)
    if not layers or layers[-1].out_features != 1:
        raise ValueError("the last layer must give one score")
    return layers
