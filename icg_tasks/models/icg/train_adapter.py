"""Stage train-adapter: meta tokens, connector and user refinement of ICG, tuned by rewards on today's preference model.

Starts from the champion of an earlier date, else from the warm adapter, else afresh with an alignment phase. Publishes a
version of ``adapter`` and moves its champion through a gate. Healthy: own covers preferred to swapped ones, canaries within
bounds; a refused challenger is no alarm, the champion goes on. Run: ``icg train-adapter --run-date YYYY-MM-DD``.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import Compute, choose_compute
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.contracts.errors import GateRefused, SettingsError
from icg_tasks.contracts.partitions import ITEM_FEATURES, ITEMS, SEGMENTS, USERS
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.lake.partitions import find_partition
from icg_tasks.lake.registry import (
    ModelVersion,
    champion_as_of,
    fetch_version,
    publish_version,
    require_champion,
    set_champion,
)
from icg_tasks.models.icg.adapter import KIND, IcgAdapter
from icg_tasks.models.icg.audience import Audience, read_audience
from icg_tasks.models.icg.catalogue import Catalogue, read_catalogue
from icg_tasks.models.icg.fresh import fresh_adapter
from icg_tasks.models.icg.gate import Decision, decide
from icg_tasks.models.icg.generator import DENOISER
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.icg.training import AdapterTraining, Trained
from icg_tasks.models.preference.model import KIND as PREFERENCE
from icg_tasks.models.rewards.context import RewardModels
from icg_tasks.models.training.checkpoint import discard_checkpoint
from icg_tasks.models.training.threads import one_thread
from icg_tasks.stage import StageContext


@dataclass(frozen=True, kw_only=True)
class _Start:
    """What training begins with."""

    adapter: IcgAdapter
    origin: str  # a version, a checkpoint's name, or "fresh"
    champion: ModelVersion | None

    @property
    def aligns(self) -> bool:
        """Whether the denoiser's language must be learned first."""
        return self.origin == "fresh"


def run(context: StageContext) -> StageOutcome:
    """Train, check, publish, decide."""
    with one_thread():
        return _run(context)


def _run(context: StageContext) -> StageOutcome:
    preference = require_champion(context.store, PREFERENCE, context.run_date)
    learned, aside, unusable = read_catalogue(context)
    audience = read_audience(context, learned.vectors_NV.shape[1])
    context.stop.check()
    studio = _studio(context, preference)
    context.stop.check()
    start = _start(context, studio, learned)
    context.say(f"{len(learned)} items to learn on, {len(aside)} set aside; starting from {start.origin}")
    identity = _identity(context, start, preference)
    folder = context.scratch("training") / "checkpoint"
    training = AdapterTraining(
        studio,
        start.adapter,
        (learned, aside),
        audience,
        context.settings.adapter,
        folder=folder,
        identity=identity,
        aligns=start.aligns,
        say=context.say,
        stop=_stopper(context),
    )
    trained = training.run()
    decision = decide(trained.best_check, trained.start_check, trained.progress.best_step, context.settings.adapter.seed)
    version = _publish(context, trained, decision, start, preference)
    context.say(f"{'accepted' if decision.accepted else 'kept what served before'}: {decision.reason}")
    discard_checkpoint(folder)
    return StageOutcome(
        outputs=[version.prefix],
        counts=_counts(learned, aside, unusable, audience),
        figures={
            "accepted": decision.accepted,
            "reason": decision.reason,
            "champion": version.version,
            "started_from": start.origin,
            "own_less_swapped": decision.own_less_swapped.to_json(),
            "gain": decision.gain.to_json(),
            "steps": trained.progress.step,
            "best_step": trained.progress.best_step,
            "rollbacks": trained.progress.rollbacks,
            "checks": trained.progress.checks,
        },
    )


def _stopper(context: StageContext) -> Callable[[Callable[[], None]], None]:
    """Called between steps: saves and raises Interrupted where a stop is asked for."""

    def stop(save: Callable[[], None]) -> None:
        if context.stop.raised:
            save()
            context.stop.check("the training so far is saved")

    return stop


def _studio(context: StageContext, preference: ModelVersion) -> Studio:
    """Frozen backbones and judges; the denoiser with the LoRA that serves on this date."""
    settings = context.settings
    compute: Compute = choose_compute(settings.backbones)
    lora = champion_as_of(context.store, DENOISER, context.run_date)
    lora_folder = fetch_version(context.store, lora, context.scratch("models")) if lora else None
    folder = fetch_version(context.store, preference, context.scratch("models"))
    return Studio(
        language=open_language_model(settings.backbones, compute),
        denoiser=open_denoiser(settings, compute, lora_folder),
        judges=RewardModels.load(settings.backbones, folder, compute.device),
        compute=compute,
        guidance=settings.covers.guidance,
        steps=settings.adapter.denoising_steps,
    )


def _start(context: StageContext, studio: Studio, learned: Catalogue) -> _Start:
    """The earlier champion, the warm adapter, or a fresh one; one that does not fit today's backbones is passed over aloud."""
    user_width = learned.vectors_NV.shape[1]
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
            return _Start(adapter=adapter, origin=origin, champion=champion if origin != warm else None)
        context.say(f"adapter {origin} was made for other backbones or user vectors; passed over")
    if not context.settings.adapter.alignment_steps:
        raise SettingsError(
            "there is no adapter to start from that fits these backbones, and adapter.alignment_steps=0; name one "
            "(backbones.warm_adapter) or let a fresh one learn the denoiser's language (adapter.alignment_steps=2000)"
        )
    return _Start(adapter=fresh_adapter(studio, context.settings.adapter, user_width), origin="fresh", champion=None)


def _fits(adapter: IcgAdapter, studio: Studio, user_width: int) -> bool:
    config = adapter.config
    return (
        config.shape == studio.denoiser.shape
        and config.language_width == studio.language.width
        and config.user_width == user_width
    )


def _identity(context: StageContext, start: _Start, preference: ModelVersion) -> str:
    """A hash of everything that decides the training, so that a checkpoint of other inputs is never taken up."""
    digest = hashlib.sha256()
    for name, data in sorted(start.adapter.files().items()):
        digest.update(name.encode() + hashlib.sha256(data).digest())
    body = {
        "settings": asdict(context.settings.adapter),
        "backbones": asdict(context.settings.backbones),
        "preference": preference.version,
        "lineage": _lineage(context),
        "torch": torch.__version__,
    }
    digest.update(json.dumps(body, sort_keys=True).encode())
    return digest.hexdigest()


def _lineage(context: StageContext) -> list[dict[str, Any]]:
    """The partitions that were read, with the hashes of their files."""
    found = [find_partition(context.store, name, context.run_date) for name in (ITEMS, ITEM_FEATURES, SEGMENTS, USERS)]
    return [{"dataset": part.dataset, "rows": part.rows, "files": [f.sha256 for f in part.files]} for part in found if part]


def _publish(
    context: StageContext, trained: Trained, decision: Decision, start: _Start, preference: ModelVersion
) -> ModelVersion:
    """Publish what was learned and record who serves from the run date on; returns the version that serves."""
    card = {
        "run_date": context.run_date.isoformat(),
        "started_from": start.origin,
        "preference": preference.version,
        "accepted": decision.accepted,
        "reason": decision.reason,
        "gain": decision.gain.to_json(),
        "own_less_swapped": decision.own_less_swapped.to_json(),
        "best_step": trained.progress.best_step,
        "rollbacks": trained.progress.rollbacks,
        "curves": trained.progress.curves,
        "checks": trained.progress.checks,
        "settings": asdict(context.settings.adapter),
        "lineage": _lineage(context),
    }
    challenger = publish_version(context.store, KIND, trained.adapter.files(), card)
    if decision.accepted:
        set_champion(context.store, challenger, context.run_date, reason=decision.reason)
        return challenger
    if start.champion is not None:
        set_champion(context.store, start.champion, context.run_date, reason=f"kept: {decision.reason}")
        return start.champion
    if start.aligns and trained.start_check.own_P.mean() <= trained.start_check.swapped_P.mean():
        raise GateRefused(
            f"a fresh adapter was refused and nothing served before: {decision.reason}; give it more adapter.alignment_steps "
            f"or adapter.reward_steps (its card is {challenger.prefix}/card.json)"
        )
    first = publish_version(context.store, KIND, trained.start.files(), card | {"role": "start"})
    set_champion(context.store, first, context.run_date, reason=f"the first: {decision.reason}")
    return first


def _counts(learned: Catalogue, aside: Catalogue, unusable: int, audience: Audience) -> dict[str, int]:
    return {
        "items_learned": len(learned),
        "items_aside": len(aside),
        "images_unusable": unusable,
        "segments": len(audience.segments_SV),
        "users": len(audience.users_UV),
    }
