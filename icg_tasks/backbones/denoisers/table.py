"""Every denoiser family there is. A new one is a file and a line here; nothing else branches on the family."""

from importlib import import_module
from pathlib import Path

from icg_tasks.backbones.denoisers.conditioning import Denoiser
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import SettingsError

_HERE = "icg_tasks.backbones.denoisers"
DENOISER_FAMILIES: dict[str, tuple[str, str]] = {
    "sd15": (f"{_HERE}.sd15", "Sd15Denoiser"),
    "sdxl": (f"{_HERE}.sdxl", "SdxlDenoiser"),
    "sd3": (f"{_HERE}.sd3", "Sd3Denoiser"),
    "pixart_sigma": (f"{_HERE}.pixart_sigma", "PixArtSigmaDenoiser"),
    "flux": (f"{_HERE}.flux", "FluxDenoiser"),
}
"""Family to module and class."""


def open_denoiser(settings: Settings, compute: Compute, lora_folder: Path | None = None) -> Denoiser:
    """The denoiser that settings name, with a LoRA of its own where one is given.

    Raises SettingsError for an unknown family, DataMissing without weights.
    """
    backbones = settings.backbones
    if backbones.denoiser_family not in DENOISER_FAMILIES:
        raise SettingsError(
            f"backbones.denoiser_family={backbones.denoiser_family!r}; expected one of {', '.join(DENOISER_FAMILIES)}"
        )
    module, name = DENOISER_FAMILIES[backbones.denoiser_family]
    family = getattr(import_module(module), name)
    found: Denoiser = family.load(
        resolve_checkpoint(backbones.denoiser), compute, size_pixels=settings.covers.size_pixels, lora_folder=lora_folder
    )
    return found
