"""The head that two public predictors share: 1024, 128, 64, 16, 1 linear layers, dropout between them, no activation.

Shape of the improved aesthetic predictor (on a CLIP ViT-L/14 image vector) and of ImageReward (on BLIP's first text state).
Dropout works in training alone, so it has no place here; it explains the gaps in the layers' numbers. Reads safetensors; knows
no image. Legend: B rows, F features.
"""

from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from icg_tasks.contracts.errors import DataCorrupt, DataMissing

SIZES = (1024, 128, 64, 16, 1)
NUMBERS = (0, 2, 4, 6, 7)
_MAX_BYTES = 200_000_000


class ScoreHead(nn.Module):
    """One score from F features; frozen."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        widths = (num_features, *SIZES)
        self.layers = nn.ModuleDict(
            {str(number): nn.Linear(widths[row], widths[row + 1]) for row, number in enumerate(NUMBERS)}
        )

    @classmethod
    def load(cls, file: Path | str, num_features: int) -> "ScoreHead":
        """From a safetensors file with keys ``layers.N.weight`` and ``layers.N.bias`` (a prefix before them may stand).

        Raises:
            DataMissing: there is no such file.
            DataCorrupt: it is no safetensors file, too large, or holds other tensors; the message names both.
        """
        path = Path(file)
        if not path.is_file():
            raise DataMissing(f"{path}: expected a score head (a safetensors file), found none; name the converted file")
        if path.stat().st_size > _MAX_BYTES:
            raise DataCorrupt(f"{path}: expected a score head, found {path.stat().st_size} bytes, more than any head needs")
        try:
            tensors = safetensors.torch.load_file(path)
        except SafetensorError as error:
            raise DataCorrupt(f"{path}: expected safetensors, found something else ({error}); convert the head") from error
        head = cls(num_features)
        named = {f"layers.{name.rpartition('layers.')[2]}": tensor.float() for name, tensor in tensors.items()}
        expected = {name: tuple(value.shape) for name, value in head.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in named.items()}
        if expected != found:
            raise DataCorrupt(f"{path}: {_difference(expected, found)}; name the head that was trained on these features")
        head.load_state_dict(named)
        return head.eval().requires_grad_(False)

    def forward(self, features_BF: Tensor) -> Tensor:
        """Scores [B]."""
        for number in NUMBERS:
            features_BF = self.layers[str(number)](features_BF)
        return features_BF.squeeze(-1)


def encoder_and_head(checkpoint: str) -> tuple[str, Path]:
    """The two parts of ``CHECKPOINT+HEAD.safetensors``; raises DataMissing where the head is not named."""
    encoder, plus, head = checkpoint.rpartition("+")
    if not (encoder and plus and head):
        raise DataMissing(
            f"judge {checkpoint!r}: expected CHECKPOINT+HEAD.safetensors (an encoder and the head trained on it), found no '+'"
        )
    return encoder, Path(head)


def _difference(expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> str:
    """The first tensor that is not as it should be."""
    for name, shape in expected.items():
        if found.get(name) != shape:
            there = ", ".join(sorted(found)[:12])
            return f"expected {name} of shape {shape}, found {found.get(name, 'none')} (tensors: {there})"
    return f"expected {len(expected)} tensors, found also {', '.join(sorted(set(found) - set(expected))[:4])}"
