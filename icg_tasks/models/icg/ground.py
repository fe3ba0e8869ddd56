"""What an adapter's training stands on: the frozen backbones and judges of a date, and the adapter to begin with.

Reads the registry; knows no data set and no loss.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.lake.registry import ModelVersion, champion_as_of, fetch_version
from icg_tasks.models.icg.adapter import KIND, IcgAdapter
from icg_tasks.models.icg.fresh import fresh_adapter
from icg_tasks.models.icg.generator import DENOISER
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.rewards.chosen import open_judges, reward_weights
from icg_tasks.models.rewards.context import RewardModels
from icg_tasks.stage import StageContext


@dataclass(frozen=True, kw_only=True)
class Start:
    """What training begins with."""

    adapter: IcgAdapter
    origin: str  # a version, a checkpoint's name, or "fresh"
    champion: ModelVersion | None

    @property
    def aligns(self) -> bool:
        """Whether the denoiser's language must be learned first."""
        return self.origin == "fresh"


def open_studio(context: StageContext, preference: ModelVersion, compute: Compute) -> Studio:
    """Frozen backbones and judges; the denoiser with the LoRA that serves on this date."""
    settings = context.settings
    lora = champion_as_of(context.store, DENOISER, context.run_date)
    lora_folder = fetch_version(context.store, lora, context.scratch("models")) if lora else None
    folder = fetch_version(context.store, preference, context.scratch("models"))
    judges = open_judges(settings.backbones, reward_weights(settings.adapter), compute.device)
    return Studio(
        language=open_language_model(settings.backbones, compute),
        denoiser=open_denoiser(settings, compute, lora_folder),
        judges=RewardModels.load(settings.backbones, folder, compute.device, judges),
        compute=compute,
        guidance=settings.covers.guidance,
        steps=settings.adapter.denoising_steps,
    )


def choose_start(context: StageContext, studio: Studio, user_width: int) -> Start:
    """The earlier champion, the warm adapter, or a fresh one; one that does not fit today's backbones is passed over aloud."""
    champion = champion_as_of(context.store, KIND, context.run_date, strictly_before=True)
    places: list[tuple[str, Callable[[], Path]]] = []
    if champion is not None:
        found = champion
        places.append((champion.version, lambda: fetch_version(context.store, found, context.scratch("models"))))
    warm = context.settings.backbones.warm_adapter
    if warm:
        places.append((warm, lambda: Path(resolve_checkpoint(warm))))
    for origin, folder in places:
        adapter = IcgAdapter.load(folder())
        if _fits(adapter, studio, user_width):
            return Start(adapter=adapter, origin=origin, champion=champion if origin != warm else None)
        context.say(f"adapter {origin} was made for other backbones or user vectors; passed over")
    if not context.settings.adapter.alignment_steps:
        raise SettingsError(
            "there is no adapter to start from that fits these backbones, and adapter.alignment_steps=0; name one "
            "(backbones.warm_adapter) or let a fresh one learn the denoiser's language (adapter.alignment_steps=2000)"
        )
    return Start(adapter=fresh_adapter(studio, context.settings.adapter, user_width), origin="fresh", champion=None)


def _fits(adapter: IcgAdapter, studio: Studio, user_width: int) -> bool:
    config = adapter.config
    return (
        config.shape == studio.denoiser.shape
        and config.language_width == studio.language.width
        and config.user_width == user_width
    )
