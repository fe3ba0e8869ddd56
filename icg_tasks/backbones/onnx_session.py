"""The dual encoder's two towers under ONNX Runtime: exported once per encoder, checked against torch, run on GPU or CPU.

Exports are cached by the encoder's content hash and the exporter's version. Every batch has one fixed shape (the last one is
padded), so a vector does not depend on how many others were asked for. Knows tensors and files; no data set.
Legend: B batch, E embedding width, T text positions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.onnx_files import export_module, open_session
from icg_tasks.contracts.errors import IcgError, SettingsError

MAX_ABS_DIFFERENCE = 1e-3
"""Largest difference from torch, in components of unit vectors, that a session may show on real samples."""
_BATCH = 32

Floats = NDArray[np.float32]


class _ImageTower(nn.Module):
    """Pixel values to unit vectors."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.model = encoder.model

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Normalised pixel values [B, 3, H, W] to [B, E]."""
        return functional.normalize(self.model.get_image_features(pixel_values=pixel_values).pooler_output, dim=-1)  # type: ignore[operator]


class _TextTower(nn.Module):
    """Token ids to unit vectors."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.model = encoder.model

    def forward(self, input_ids: Tensor) -> Tensor:
        """Token ids [B, T] to [B, E]."""
        return functional.normalize(self.model.get_text_features(input_ids=input_ids).pooler_output, dim=-1)  # type: ignore[operator]


@dataclass(frozen=True, kw_only=True)
class OnnxEncoder:
    """Both towers in ONNX Runtime. ``provider`` is the one that really runs them."""

    image: Any
    text: Any
    provider: str

    def embed_pixel_values(self, values_BCHW: Floats) -> Floats:
        """Normalised pixel values to unit vectors [B, E]."""
        return _in_batches(self.image, "pixel_values", values_BCHW)

    def embed_token_ids(self, ids_BT: NDArray[np.int64]) -> Floats:
        """Token ids to unit vectors [B, E]."""
        return _in_batches(self.text, "input_ids", ids_BT)

    def parity(self, encoder: DualEncoder, values_BCHW: Tensor, texts: list[str]) -> float:
        """Largest absolute difference from torch over these samples; raises IcgError beyond MAX_ABS_DIFFERENCE."""
        ids_BT = encoder.tokenize(texts)
        with torch.no_grad():
            expected = [encoder.embed_pixel_values(values_BCHW).cpu().numpy(), encoder.embed_texts(texts).cpu().numpy()]
        found = [self.embed_pixel_values(values_BCHW.numpy()), self.embed_token_ids(ids_BT.numpy())]
        worst = max(float(np.abs(left - right).max(initial=0.0)) for left, right in zip(expected, found, strict=True))
        if not worst <= MAX_ABS_DIFFERENCE:
            raise IcgError(
                f"the encoder under ONNX Runtime ({self.provider}) differs from torch by {worst:.2e} on {len(texts)} items; "
                f"at most {MAX_ABS_DIFFERENCE:.0e} is accepted; remove the cached export, or set backbones.device=cpu"
            )
        return worst


def open_onnx_encoder(encoder: DualEncoder, cache: Path, *, device: str = "auto") -> OnnxEncoder:
    """Sessions of both towers, exported into ``cache`` unless a former run did. ``encoder`` must be float32.

    Args:
        encoder: the encoder in torch; only read.
        cache: folder of exports, safe to delete.
        device: auto (CUDA where torch finds it and ONNX Runtime loads it), cpu, or cuda (required).

    Raises:
        SettingsError: ``cuda`` was asked for and cannot be had.
    """
    paths = export_towers(encoder, cache)
    wants_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    sessions = {name: open_session(path, wants_cuda=wants_cuda) for name, path in paths.items()}
    providers = {session.get_providers()[0] for session in sessions.values()}
    if device == "cuda" and providers != {"CUDAExecutionProvider"}:
        raise SettingsError(
            f"backbones.device=cuda, but ONNX Runtime runs on {', '.join(sorted(providers))}; install a driver "
            "and CUDA libraries that fit onnxruntime-gpu, or set backbones.device=auto"
        )
    return OnnxEncoder(image=sessions["image"], text=sessions["text"], provider="+".join(sorted(providers)))


def export_towers(encoder: DualEncoder, cache: Path) -> dict[str, Path]:
    """The towers as ONNX files below ``cache``; written once per encoder, visible only when whole."""
    folder = cache / f"{encoder.identity}-torch{torch.__version__.split('+')[0]}"
    folder.mkdir(parents=True, exist_ok=True)
    shape = (2, 3, encoder.preprocessing.height, encoder.preprocessing.width)
    towers: dict[str, tuple[nn.Module, Tensor, str]] = {
        "image": (_ImageTower(encoder), torch.rand(shape, dtype=encoder.dtype), "pixel_values"),
        "text": (_TextTower(encoder), encoder.tokenize(["a sample", "another one"]), "input_ids"),
    }
    paths = {}
    for name, (tower, sample, input_name) in towers.items():
        paths[name] = folder / f"{name}.onnx"
        if not paths[name].exists():
            _export(tower.eval(), sample.to(encoder.device), input_name, paths[name])
    return paths


def _export(tower: nn.Module, sample: Tensor, input_name: str, path: Path) -> None:
    partial = path.with_suffix(".partial")
    export_module(tower, (sample,), partial, inputs=[input_name], outputs=["vectors"], any_batch=True)
    partial.replace(path)


def _in_batches(session: Any, name: str, rows: NDArray[Any]) -> Floats:
    parts = []
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        padding = np.repeat(batch[:1], _BATCH - len(batch), axis=0)
        vectors = session.run(["vectors"], {name: np.concatenate([batch, padding])})[0]
        parts.append(np.asarray(vectors, dtype=np.float32)[: len(batch)])
    width = session.get_outputs()[0].shape[1]
    return np.concatenate(parts) if parts else np.zeros((0, width), dtype=np.float32)
