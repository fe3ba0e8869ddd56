"""Every token family there is. A new one is a file and a line here; nothing else branches on the family.

A family is called what transformers calls its ``model_type``, so a checkpoint says itself which one it needs.
"""

from importlib import import_module

from icg_tasks.backbones.checkpoint import checkpoint_folder, model_type
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.backbones.tokens.writing import TokenModel
from icg_tasks.contracts.errors import DataCorrupt, SettingsError

_HERE = "icg_tasks.backbones.tokens"
TOKEN_FAMILIES: dict[str, tuple[str, str]] = {
    "janus": (f"{_HERE}.janus", "Janus"),
    "emu3": (f"{_HERE}.emu3", "Emu3"),
}
"""Family to module and class."""


def open_token_model(family: str, checkpoint: str, compute: Compute) -> TokenModel:
    """The checkpoint that settings name, checked to be of the family they name before any weight is read.

    Raises:
        SettingsError: no model is named, an unknown family, or an attention implementation that this model or machine has not.
        DataMissing: no such checkpoint, or no safetensors weights, tokenizer or image processor in it.
        DataCorrupt: a checkpoint of another family, or one whose weights are damaged or left out.
    """
    if family not in TOKEN_FAMILIES:
        raise SettingsError(f"pigeon.token_family={family!r}; expected one of {', '.join(TOKEN_FAMILIES)}")
    if not checkpoint:
        raise SettingsError(
            f"pigeon.token_model is empty; name a {family} checkpoint: a folder, or a hub id as owner/name@revision"
        )
    folder = checkpoint_folder(resolve_checkpoint(checkpoint))
    found = model_type(folder, family)
    if found != family:
        advice = f"set pigeon.token_family={found}" if found in TOKEN_FAMILIES else "name a checkpoint of that family"
        raise DataCorrupt(
            f"{checkpoint} ({folder}): expected model_type {family} (pigeon.token_family), found {found}; "
            f"{advice}; families: {', '.join(TOKEN_FAMILIES)}"
        )
    module, name = TOKEN_FAMILIES[family]
    opened: TokenModel = getattr(import_module(module), name).load(str(folder), compute)
    return opened
