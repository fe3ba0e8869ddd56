"""Every language model family there is. A new one is a file and a line here; nothing else branches on the family.

A family is called what transformers calls its ``model_type``, so a checkpoint says itself which one it needs.
"""

from importlib import import_module

from icg_tasks.backbones.checkpoint import checkpoint_folder, model_type
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.language.reading import LanguageModel
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config.settings import BackboneSettings
from icg_tasks.contracts.errors import DataCorrupt, SettingsError

_HERE = "icg_tasks.backbones.language"
LANGUAGE_FAMILIES: dict[str, tuple[str, str]] = {
    "qwen2_vl": (f"{_HERE}.qwen2_vl", "Qwen2VL"),
    "qwen2_5_vl": (f"{_HERE}.qwen2_5_vl", "Qwen25VL"),
    "qwen3_vl": (f"{_HERE}.qwen3_vl", "Qwen3VL"),
    "llava_onevision": (f"{_HERE}.llava_onevision", "LlavaOneVision"),
    "idefics3": (f"{_HERE}.idefics3", "Idefics3"),
    "smolvlm": (f"{_HERE}.smolvlm", "SmolVLM"),
    "internvl": (f"{_HERE}.internvl", "InternVL"),
    "gemma3": (f"{_HERE}.gemma3", "Gemma3"),
}
"""Family to module and class."""


def open_language_model(backbones: BackboneSettings, compute: Compute) -> LanguageModel:
    """The language model that settings name, checked to be of the family they name before any weight is read.

    Raises:
        SettingsError: an unknown family, or an attention implementation that this model or machine has not.
        DataMissing: no such checkpoint, or no safetensors weights, tokenizer or image processor in it.
        DataCorrupt: a checkpoint of another family, or one whose weights are damaged or left out.
    """
    family = backbones.language_family
    if family not in LANGUAGE_FAMILIES:
        raise SettingsError(f"backbones.language_family={family!r}; expected one of {', '.join(LANGUAGE_FAMILIES)}")
    folder = checkpoint_folder(resolve_checkpoint(backbones.language_model))
    found = model_type(folder, family)
    if found != family:
        advice = f"set backbones.language_family={found}" if found in LANGUAGE_FAMILIES else "name a checkpoint of that family"
        raise DataCorrupt(
            f"{backbones.language_model} ({folder}): expected model_type {family} (backbones.language_family), found {found}; "
            f"{advice}; families: {', '.join(LANGUAGE_FAMILIES)}"
        )
    module, name = LANGUAGE_FAMILIES[family]
    opened: LanguageModel = getattr(import_module(module), name).load(str(folder), compute)
    return opened
