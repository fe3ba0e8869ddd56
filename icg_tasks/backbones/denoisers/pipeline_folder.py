"""A checkpoint in diffusers' pipeline layout: its parts by name, checked against what a family expects. Safetensors only.

Knows files and classes; no family and no settings.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from icg_tasks.backbones.checkpoint import checkpoint_folder, load_whole, require_safetensors
from icg_tasks.contracts.errors import DataCorrupt, DataMissing

_INDEX = "model_index.json"
_MAX_INDEX_BYTES = 2**20
_NAMED = 4


class PipelineFolder:
    """``model_index.json`` and the folders it names."""

    def __init__(self, checkpoint: str, pipeline: str) -> None:
        """``checkpoint`` is a local folder or hub id, ``pipeline`` the class its index must name.

        Raises:
            DataMissing: there is no pipeline.
            DataCorrupt: its index cannot be read, or names another class.
        """
        self.folder = checkpoint_folder(checkpoint, pipeline=True)
        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        path = self.folder / _INDEX
        if not path.is_file():
            found = ", ".join(sorted(part.name for part in self.folder.iterdir())[:_NAMED]) or "an empty folder"
            raise DataMissing(
                f"{checkpoint}: expected a {pipeline} in diffusers' layout ({_INDEX}, safetensors weights), found {found}"
            )
        try:
            if path.stat().st_size > _MAX_INDEX_BYTES:
                raise ValueError(f"{path.stat().st_size} bytes")
            self.index: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataCorrupt(f"{path}: expected a pipeline's index ({error}); fetch the checkpoint again") from error
        found = str(self.index.get("_class_name"))
        if found != pipeline:
            raise DataCorrupt(
                f"{checkpoint}: expected a {pipeline}, found a {found}; name a checkpoint of this family, or the family of "
                "this checkpoint (backbones.denoiser_family)"
            )

    def has(self, part: str) -> bool:
        """Whether the pipeline comes with a part (an optional one may be null)."""
        named = self.index.get(part)
        return isinstance(named, list) and len(named) == 2 and named[1] is not None

    def network(self, part: str, model_class: Any, dtype: torch.dtype) -> Any:
        """A UNet, transformer or autoencoder of diffusers with all its weights.

        Raises:
            DataMissing: the part, its configuration or its safetensors weights are not there.
            DataCorrupt: it is of another class, or its weights are damaged, of other shapes or incomplete.
        """
        folder = self._part(part, model_class)
        expected = f"{folder}: expected the weights of {model_class.__name__}"
        try:
            model, report = model_class.from_pretrained(
                folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
        except OSError as error:
            raise DataMissing(f"{expected}, found them incomplete ({error}); fetch the checkpoint again") from error
        except (ValueError, RuntimeError, TypeError, KeyError, SafetensorError) as error:
            raise DataCorrupt(f"{expected}, found others ({error}); fetch the checkpoint again") from error
        missing = sorted(report["missing_keys"])
        if missing:
            shown = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
            raise DataCorrupt(f"{expected}, found {len(missing)} of them missing ({shown}); fetch the checkpoint again")
        return model

    def text_encoder(self, part: str, words: str, model_class: Any, dtype: torch.dtype) -> tuple[Any, Any]:
        """Tokenizer and text encoder of transformers; raises like ``network``."""
        folder = self._part(part, model_class)
        self._part(words, None)
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder / words, local_files_only=True)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise DataMissing(f"{self.folder / words}: expected a tokenizer, found none that loads ({error})") from error
        return tokenizer, load_whole(model_class, folder, dtype=dtype)

    def scheduler(self, **changes: Any) -> Any:
        """The checkpoint's own scheduler, some of its settings changed."""
        folder, name = self._part("scheduler", None), str(self.index["scheduler"][1])
        kind = getattr(diffusers, name, None)
        if kind is None or not name.endswith("Scheduler"):
            raise DataCorrupt(f"{folder}: expected a scheduler of diffusers, found {name!r}")
        try:
            return kind.from_config(kind.load_config(folder, local_files_only=True), **changes)
        except (OSError, ValueError, TypeError) as error:
            raise DataMissing(f"{folder}: expected scheduler_config.json of a {name} ({error})") from error

    def require(self, what: str, found: object, expected: object) -> None:
        """Raises DataCorrupt where two parts of the checkpoint do not belong together."""
        if found != expected:
            raise DataCorrupt(f"{self.folder}: expected {what} {expected}, found {found}; its parts do not belong together")

    def _part(self, part: str, model_class: Any) -> Path:
        if not self.has(part):
            wanted = f" ({model_class.__name__})" if model_class else ""
            raise DataMissing(f"{self.folder}: expected a part {part}{wanted}, {_INDEX} names {_parts(self.index)}")
        folder = self.folder / part
        if not folder.is_dir():
            raise DataMissing(f"{self.folder}: {_INDEX} names the part {part}, but there is no such folder; fetch it again")
        if model_class is not None:
            self.require(f"{part} to be a", self.index[part][1], model_class.__name__)
            require_safetensors(folder)
        return folder


def _parts(index: dict[str, Any]) -> Sequence[str]:
    return sorted(name for name, value in index.items() if isinstance(value, list) and value and value[-1] is not None)
