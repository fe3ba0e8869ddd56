"""A checkpoint by name: its local folder, whether it is what was asked for, its weights whole, its identity.

Hub ids are pinned (``owner/name@revision``), fetched once, and found in the cache afterwards; huggingface_hub's own switches
(``HF_HUB_OFFLINE``, ``HF_HOME``) are honoured. Safetensors only: nothing pickled is fetched or read. Knows no family.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError

_WANTED = ("*.json", "*.safetensors", "*.txt", "*.model")
_PIPELINE = ("model_index.json", *(f"*/{pattern}" for pattern in _WANTED))
"""Of a pipeline the parts' folders; a file with all weights in one lies beside them and is not read."""
_VARIANTS = ("*.fp16.*", "*.fp16-*", "*.bf16.*", "*.non_ema.*", "*openvino*", "safety_checker/*", "feature_extractor/*")
"""The same weights again, in other precisions and formats, and parts that nothing here asks for."""
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_MAX_CONFIG_BYTES = 4 * 2**20
_NAMED = 4
"""How many of several missing weights an error names."""


def checkpoint_folder(checkpoint: str, *, pipeline: bool = False) -> Path:
    """The checkpoint's local folder; a hub id is fetched once (safetensors and configs only; of a ``pipeline`` its parts).

    Raises:
        DataMissing: neither a folder nor a hub id with its revision, or it is not in the cache and cannot be fetched.
    """
    folder = Path(checkpoint)
    if folder.is_dir():
        return folder
    name, _, revision = checkpoint.rpartition("@")
    if not name or not revision:
        raise DataMissing(
            f"checkpoint {checkpoint!r} is no local folder, and no hub id with a revision either; name a folder, or a hub id "
            "as owner/name@revision (a commit stays what it is; a branch or tag may move)"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        wanted, unwanted = (_PIPELINE, _VARIANTS) if pipeline else (_WANTED, ())
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(wanted), ignore_patterns=list(unwanted)))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataMissing(
            f"checkpoint {checkpoint!r} is no local folder and cannot be fetched ({error}); name a folder, or a hub id that is "
            "in the local cache or reachable (HF_HUB_OFFLINE=0)"
        ) from error


def model_type(folder: Path, expected: str) -> str:
    """What ``config.json`` says the model is; ``expected`` is for the message alone.

    Raises:
        DataMissing: there is no ``config.json``.
        DataCorrupt: it is no JSON object with a ``model_type``, or too large to be one.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise DataMissing(
            f"{folder}: expected a checkpoint of model_type {expected} (config.json, safetensors weights), found "
            f"{_content(folder)}; name the folder that holds config.json"
        )
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise DataCorrupt(f"{path}: expected a configuration, found {path.stat().st_size} bytes; fetch the checkpoint again")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataCorrupt(
            f"{path}: expected JSON with model_type {expected} ({error!r}); fetch the checkpoint again"
        ) from error
    return str(found)


def require_safetensors(folder: Path) -> None:
    """Raises DataMissing, naming what is there instead, where the folder itself holds no safetensors weights."""
    if not any(folder.glob("*.safetensors")):
        raise DataMissing(
            f"{folder}: expected safetensors weights, found {_content(folder)}; convert the checkpoint (nothing pickled is "
            "ever read), or name one that has them"
        )


def load_whole(model_class: Any, folder: Path, **options: Any) -> Any:
    """``model_class.from_pretrained`` of a transformers checkpoint, every weight of which must be in the files.

    Raises:
        DataMissing: no safetensors weights, or a shard is not there.
        DataCorrupt: weights are damaged, of other shapes, or left out (which transformers itself would draw at random).
        SettingsError: the attention implementation in ``options`` cannot be used with this model on this machine.
    """
    from safetensors import SafetensorError

    require_safetensors(folder)
    expected = f"{folder}: expected the weights of {model_class.__name__}"
    try:
        model, report = model_class.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True, **options
        )
    except OSError as error:
        raise DataMissing(f"{expected}, found them incomplete ({error}); fetch the checkpoint again") from error
    except ImportError as error:
        raise SettingsError(_attention(folder, options, error)) from error
    except (ValueError, RuntimeError, SafetensorError) as error:
        if "ttention implementation" in str(error) or "attn_implementation" in str(error):
            raise SettingsError(_attention(folder, options, error)) from error
        raise DataCorrupt(f"{expected}, found others ({error}); fetch the checkpoint again, or name its own family") from error
    missing = sorted(report["missing_keys"])
    if missing:
        shown = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        raise DataCorrupt(
            f"{expected}, found {len(missing)} of them missing ({shown}); name one of this very family, or fetch it again"
        )
    return model


def checkpoint_identity(folder: Path) -> str:
    """A hash of everything that decides the vectors: weights, configs, tokenizer. 16 hex digits, the same on every machine."""
    paths = sorted(path for pattern in _WANTED for path in folder.glob(pattern))
    require_safetensors(folder)
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as handle:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()[:16]


def _attention(folder: Path, options: dict[str, Any], error: Exception) -> str:
    chosen = options.get("attn_implementation")
    return f"backbones.attention={chosen} cannot be used with {folder} here ({error}); set sdpa or eager"


def _content(folder: Path) -> str:
    """What a folder holds, for a message."""
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        return f"pickled weights only ({', '.join(pickled[:_NAMED])})"
    names = sorted(path.name for path in folder.iterdir())
    return f"{', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''}" if names else "an empty folder"
