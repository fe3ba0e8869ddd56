"""Every language model family there is. A new one is a file and a line here; nothing else branches on the family."""

from importlib import import_module

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.language.reading import LanguageModel
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config.settings import BackboneSettings
from icg_tasks.contracts.errors import SettingsError

LANGUAGE_FAMILIES: dict[str, tuple[str, str]] = {"qwen2_5_vl": ("icg_tasks.backbones.language.qwen2_5_vl", "Qwen25VL")}
"""Family to module and class."""


def open_language_model(backbones: BackboneSettings, compute: Compute) -> LanguageModel:
    """The language model that settings name; raises SettingsError for an unknown family, DataMissing without weights."""
    if backbones.language_family not in LANGUAGE_FAMILIES:
        raise SettingsError(
            f"backbones.language_family={backbones.language_family!r}; expected one of {', '.join(LANGUAGE_FAMILIES)}"
        )
    module, name = LANGUAGE_FAMILIES[backbones.language_family]
    found: LanguageModel = getattr(import_module(module), name).load(resolve_checkpoint(backbones.language_model), compute)
    return found
