"""Stage train-adapter: meta tokens, connector and user refinement of ICG, tuned by rewards on today's preference model.

Starts from the champion of an earlier date, else from the warm adapter, else afresh with an alignment phase. Publishes a
version of ``adapter`` and moves its champion through a gate. Healthy: own covers preferred to swapped ones, canaries within
bounds; a refused challenger is no alarm, the champion goes on. Run: ``icg train-adapter --run-date YYYY-MM-DD``.
"""

from dataclasses import asdict, replace
from typing import Any

from icg_tasks.backbones.device import Compute, choose_compute
from icg_tasks.contracts.errors import EXIT_DONE, GateRefused
from icg_tasks.contracts.partitions import ITEM_FEATURES, ITEMS, SEGMENTS, USERS
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.lake.registry import (
    ModelVersion,
    publish_version,
    require_champion,
    set_champion,
)
from icg_tasks.models.icg.adapter import KIND
from icg_tasks.models.icg.audience import Audience, read_audience
from icg_tasks.models.icg.catalogue import Catalogue, read_catalogue
from icg_tasks.models.icg.gate import decide
from icg_tasks.models.icg.ground import Start, choose_start, open_studio
from icg_tasks.models.icg.training import AdapterTraining, Trained
from icg_tasks.models.preference.model import KIND as PREFERENCE
from icg_tasks.models.training.challenger import publish_challenger
from icg_tasks.models.training.checkpoint import discard_checkpoint
from icg_tasks.models.training.decision import Decision
from icg_tasks.models.training.identity import lineage, training_identity
from icg_tasks.models.training.processes import Processes, launched_precision
from icg_tasks.models.training.stopping import silence, stopper
from icg_tasks.models.training.threads import one_thread
from icg_tasks.stage import StageContext


def run(context: StageContext) -> StageOutcome:
    """Train, check, publish, decide. Of several processes only the main one closes the stage; the others end here."""
    compute = launched_precision(choose_compute(context.settings.backbones), context.settings.backbones.precision)
    processes = Processes.join(compute)
    with one_thread():
        return _run(context, replace(compute, device=processes.device), processes)


def _run(context: StageContext, compute: Compute, processes: Processes) -> StageOutcome:
    preference = require_champion(context.store, PREFERENCE, context.run_date)
    learned, aside, unusable = read_catalogue(context)
    audience = read_audience(context, learned.vectors_NV.shape[1])
    context.stop.check()
    studio = open_studio(context, preference, compute)
    context.stop.check()
    start = choose_start(context, studio, learned.vectors_NV.shape[1])
    context.say(f"{len(learned)} items to learn on, {len(aside)} set aside; starting from {start.origin}")
    identity = _identity(context, start, preference, processes)
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
        say=context.say if processes.is_main else silence,
        stop=stopper(context, processes),
        processes=processes,
    )
    trained = training.run()
    if not processes.is_main:
        raise SystemExit(EXIT_DONE)
    seed = context.settings.adapter.seed
    decision = decide(trained.best_check, trained.start_check, trained.progress.best_step, seed, trained.liked)
    version = _publish(context, trained, decision, start, preference)
    discard_checkpoint(folder)
    return StageOutcome(
        outputs=[version.prefix],
        counts=_counts(learned, aside, unusable, audience),
        figures={
            **decision.to_json(),
            "champion": version.version,
            "started_from": start.origin,
            "steps": trained.progress.step,
            "best_step": trained.progress.best_step,
            "rollbacks": trained.progress.rollbacks,
            "checks": trained.progress.checks,
        },
    )


def _identity(context: StageContext, start: Start, preference: ModelVersion, processes: Processes) -> str:
    """A hash of everything that decides the training, so that a checkpoint of other inputs is never taken up."""
    body = {
        "settings": asdict(context.settings.adapter),
        "backbones": asdict(context.settings.backbones),
        "preference": preference.version,
        "lineage": _lineage(context),
        "processes": processes.count,
    }
    return training_identity(start.adapter.files(), body)


def _lineage(context: StageContext) -> list[dict[str, Any]]:
    """The partitions that were read, with the hashes of their files."""
    return lineage(context.store, [(name, context.run_date) for name in (ITEMS, ITEM_FEATURES, SEGMENTS, USERS)])


def _publish(
    context: StageContext, trained: Trained, decision: Decision, start: Start, preference: ModelVersion
) -> ModelVersion:
    """Publish what was learned and record who serves from the run date on; returns the version that serves."""
    card = {
        "started_from": start.origin,
        "preference": preference.version,
        "best_step": trained.progress.best_step,
        "rollbacks": trained.progress.rollbacks,
        "curves": trained.progress.curves,
        "checks": trained.progress.checks,
        "settings": asdict(context.settings.adapter),
        "lineage": _lineage(context),
    }
    challenger, serving = publish_challenger(context, KIND, trained.adapter.files(), card, decision, start.champion)
    if serving is not None:
        return serving
    if start.aligns and trained.start_check.own_P.mean() <= trained.start_check.swapped_P.mean():
        raise GateRefused(
            f"a fresh adapter was refused and nothing served before: {decision.reason}; give it more adapter.alignment_steps "
            f"or adapter.reward_steps (its card is {challenger.prefix}/card.json)"
        )
    first = publish_version(context.store, KIND, trained.start.files(), challenger.card | {"role": "start"})
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
