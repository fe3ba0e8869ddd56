"""The preference model as the rest of the house sees it: load a folder, score covers for users, differentiable in the images.

A folder holds model.safetensors, config.json, items.parquet (what each item's popularity adds; not part of a cover's score)
and preference.onnx (the same score). Knows nothing of training. Legend: B rows, E encoder width, V = 2E.
"""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork

KIND = "preference"
WEIGHTS, CONFIG, ITEMS, ONNX = "model.safetensors", "config.json", "items.parquet", "preference.onnx"
ITEM_SCHEMA = pa.schema([("item_id", pa.string()), ("logit", pa.float32())])


@dataclass(frozen=True, kw_only=True)
class PreferenceModel:
    """A trained network with what is needed to read its scores."""

    network: PreferenceNetwork
    encoder: str  # identity of the dual encoder whose vectors it takes
    score_mean: float  # of served scores over judged rows, in logits
    score_deviation: float
    slots: list[tuple[str, int]] = field(default_factory=list)
    item_logits: dict[str, float] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """E: width of an image or title vector."""
        return self.network.config.width

    @classmethod
    def load(cls, folder: Path | str) -> "PreferenceModel":
        """The model in a folder, frozen; raises DataCorrupt where a file is missing or does not fit."""
        path = Path(folder)
        try:
            config: dict[str, Any] = json.loads((path / CONFIG).read_text())
            network = PreferenceNetwork(PreferenceConfig(**config["network"]))
            network.load_state_dict(safetensors.torch.load_file(path / WEIGHTS))
            items = pq.read_table(path / ITEMS, schema=ITEM_SCHEMA)
            return cls(
                network=network.eval().requires_grad_(False),
                encoder=str(config["encoder"]),
                score_mean=float(config["score_mean"]),
                score_deviation=float(config["score_deviation"]),
                slots=[(str(surface), int(position)) for surface, position in config["slots"]],
                item_logits=dict(zip(items["item_id"].to_pylist(), items["logit"].to_pylist(), strict=True)),
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise DataCorrupt(f"no usable preference model in {path} ({error}); fetch the version again or retrain") from error

    def files(self) -> dict[str, bytes]:
        """The folder's files as bytes, without the ONNX export; the same model gives the same bytes."""
        config = {
            "network": self.network.config.to_json(),
            "encoder": self.encoder,
            "score_mean": self.score_mean,
            "score_deviation": self.score_deviation,
            "slots": [list(slot) for slot in self.slots],
        }
        names = sorted(self.item_logits)
        table = pa.table({"item_id": names, "logit": [self.item_logits[name] for name in names]}, schema=ITEM_SCHEMA)
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        weights = {name: value.contiguous() for name, value in sorted(self.network.state_dict().items())}
        return {
            CONFIG: json.dumps(config, sort_keys=True, indent=1).encode(),
            ITEMS: sink.getvalue(),
            WEIGHTS: safetensors.torch.save(weights),
        }

    def to(self, device: torch.device | str) -> "PreferenceModel":
        """The same model with its weights on a device (in place)."""
        self.network.to(device)
        return self

    def score(self, user_vectors: Tensor, image_vectors: Tensor, title_vectors: Tensor) -> Tensor:
        """Logit of a click in the average place [B], from user [B, 2E], unit image [B, E] and unit title [B, E] vectors.

        Differentiable in all three. Neither the place nor the user's own activity nor the item's popularity is in it.
        """
        return self.network.served(user_vectors, self._covers(image_vectors, title_vectors))

    def scores(self, users_UV: Tensor, images_NE: Tensor, titles_NE: Tensor) -> Tensor:
        """The score of every cover for every user [U, N], from user [U, 2E] and N covers' unit vectors; one user at a time."""
        return torch.stack([self.score(user.expand(len(images_NE), -1), images_NE, titles_NE) for user in users_UV])

    def base_score(self, image_vectors: Tensor, title_vectors: Tensor) -> Tensor:
        """The score for nobody special [B]: that of the zero user vector."""
        return self.network.base(self._covers(image_vectors, title_vectors))

    def _covers(self, image_vectors: Tensor, title_vectors: Tensor) -> Tensor:
        if image_vectors.shape[-1] != self.width or title_vectors.shape[-1] != self.width:
            raise DataCorrupt(
                f"image and title vectors are {image_vectors.shape[-1]} and {title_vectors.shape[-1]} wide; this preference "
                f"model takes {self.width} (encoder {self.encoder}); use vectors of that encoder or retrain"
            )
        return torch.cat([image_vectors, title_vectors], dim=-1)


def item_halves(vectors_NV: Tensor) -> tuple[Tensor, Tensor]:
    """Unit image and unit title vectors [N, E] of item vectors [N, 2E], as the model takes them."""
    width = vectors_NV.shape[1] // 2
    return vectors_NV[:, :width], functional.normalize(vectors_NV[:, width:], dim=-1)
