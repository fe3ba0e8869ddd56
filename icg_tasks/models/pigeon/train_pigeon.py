"""Stage train-pigeon: masked preference reconstruction, then pairwise preference alignment, on what users clicked.

Starts from the champion of an earlier date where it fits today's token model, else from the token model as it is. Publishes a
version of ``pigeon`` and moves its champion through a gate. Healthy: covers nearer to their own user's history than to others',
canaries within bounds; a refused challenger is no alarm where a champion goes on.
Run: ``icg train-pigeon --run-date YYYY-MM-DD --set pigeon.token_model=CHECKPOINT``.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from icg_tasks.backbones.device import Compute, choose_compute
from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.backbones.tokens.table import open_token_model
from icg_tasks.backbones.tokens.writing import TokenModel
from icg_tasks.contracts.errors import EXIT_DONE, GateRefused
from icg_tasks.contracts.partitions import IMPRESSIONS, ITEM_FEATURES, ITEMS
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.lake.partitions import list_partition_dates
from icg_tasks.lake.registry import ModelVersion, champion_as_of, fetch_version
from icg_tasks.models.icg.catalogue import Catalogue, read_catalogue
from icg_tasks.models.pigeon.atelier import Atelier, Covers
from icg_tasks.models.pigeon.checked import check_settings
from icg_tasks.models.pigeon.gate import decide
from icg_tasks.models.pigeon.liked import LikedCovers
from icg_tasks.models.pigeon.model import KIND, RECONSTRUCTED, Pigeon, PigeonShape, weights_file
from icg_tasks.models.pigeon.pictures import MASKS_PICTURE, masks_picture
from icg_tasks.models.pigeon.training import PigeonTraining, Trained
from icg_tasks.models.pigeon.windows import Windows, read_windows
from icg_tasks.models.training.challenger import publish_challenger
from icg_tasks.models.training.checkpoint import discard_checkpoint
from icg_tasks.models.training.decision import Decision
from icg_tasks.models.training.identity import lineage, training_identity
from icg_tasks.models.training.processes import Processes, launched_precision
from icg_tasks.models.training.stopping import silence, stopper
from icg_tasks.models.training.threads import one_thread
from icg_tasks.stage import StageContext


@dataclass(frozen=True, kw_only=True)
class Start:
    """What training begins with."""

    pigeon: Pigeon
    champion: ModelVersion | None  # of an earlier date, whether or not it was taken
    origin: str  # a version, or "fresh"


def run(context: StageContext) -> StageOutcome:
    """Train, check, publish, decide. Of several processes only the main one closes the stage; the others end here."""
    compute = launched_precision(choose_compute(context.settings.backbones), context.settings.backbones.precision)
    processes = Processes.join(compute)
    with one_thread():
        return _run(context, replace(compute, device=processes.device), processes)


def _run(context: StageContext, compute: Compute, processes: Processes) -> StageOutcome:
    settings = context.settings.pigeon
    check_settings(settings)
    tokens = open_token_model(settings.token_family, settings.token_model, compute)
    learned, aside, unusable = read_catalogue(context)
    catalogue = together(learned, aside)
    windows = read_windows(context, catalogue)
    start = _start(context, tokens)
    context.say(f"{len(windows[0])} windows to learn on, {len(windows[1])} set aside; starting from {start.origin}")
    encoder = DualEncoder.load(resolve_checkpoint(context.settings.backbones.encoder), device=compute.device)
    atelier = Atelier(tokens=tokens, covers=Covers.of(tokens, catalogue), encoder=encoder, settings=settings)
    context.stop.check()
    folder = context.scratch("training") / "checkpoint"
    training = PigeonTraining(
        atelier,
        start.pigeon,
        windows,
        folder=folder,
        identity=_identity(context, start, encoder, processes),
        say=context.say if processes.is_main else silence,
        stop=stopper(context, processes),
        processes=processes,
    )
    trained = training.run()
    if not processes.is_main:
        raise SystemExit(EXIT_DONE)
    decision = decide(trained.best_check, trained.start_check, trained.progress.best_step, settings)
    files = trained.pigeon.files({"token_model": settings.token_model})
    files |= {RECONSTRUCTED: weights_file(trained.reconstructed)}
    files |= {MASKS_PICTURE: masks_picture(atelier, trained.pigeon, windows[1])}
    files |= LikedCovers(codes_IN=atelier.covers.codes_IN, vectors_IV=torch.from_numpy(catalogue.vectors_NV)).files()
    version = _publish(context, trained, decision, start, files)
    discard_checkpoint(folder)
    return _outcome(trained, decision, version, start, windows, {"items": len(catalogue), "images_unusable": unusable})


def _start(context: StageContext, tokens: TokenModel) -> Start:
    """The earlier champion's weights, or fresh ones, which change nothing of the token model yet."""
    champion = champion_as_of(context.store, KIND, context.run_date, strictly_before=True)
    settings = context.settings.pigeon
    shape = PigeonShape.of(tokens, settings)
    if champion is not None:
        folder = fetch_version(context.store, champion, context.scratch("models"))
        if PigeonShape.read(folder) == shape and champion.card["settings"]["token_model"] == settings.token_model:
            return Start(pigeon=Pigeon.load(tokens, folder), champion=champion, origin=champion.version)
        context.say(f"pigeon {champion.version} was trained on another token model or in another shape; passed over")
    return Start(pigeon=Pigeon(tokens, shape, settings.seed), champion=None, origin="fresh")


def together(first: Catalogue, second: Catalogue) -> Catalogue:
    """One catalogue: what is set aside are users, not items."""
    return Catalogue(
        item_ids=first.item_ids + second.item_ids,
        titles=first.titles + second.titles,
        images=first.images + second.images,
        vectors_NV=np.concatenate([first.vectors_NV, second.vectors_NV]),
    )


def _identity(context: StageContext, start: Start, encoder: DualEncoder, processes: Processes) -> str:
    """A hash of everything that decides the training, so that a checkpoint of other inputs is never taken up."""
    body = {
        "settings": asdict(context.settings.pigeon),
        "encoder": encoder.identity,
        "lineage": _lineage(context),
        "processes": processes.count,
    }
    return training_identity(start.pigeon.files(), body)


def _lineage(context: StageContext) -> list[dict[str, Any]]:
    """The partitions that may have been read, with the hashes of their files."""
    window = context.settings.features.window_days
    days = [day for day in list_partition_dates(context.store, IMPRESSIONS) if 0 <= (context.run_date - day).days < window]
    wanted = [(ITEMS, context.run_date), (ITEM_FEATURES, context.run_date), *((IMPRESSIONS, day) for day in days)]
    return lineage(context.store, wanted)


def _publish(
    context: StageContext, trained: Trained, decision: Decision, start: Start, files: dict[str, bytes]
) -> ModelVersion:
    """Publish what was learned and record who serves from the run date on; returns the version that serves."""
    card = {
        "started_from": start.origin,
        "best_step": trained.progress.best_step,
        "rollbacks": trained.progress.rollbacks,
        "pairs": trained.num_pairs,
        "curves": trained.progress.curves,
        "checks": trained.progress.checks,
        "settings": asdict(context.settings.pigeon),
        "lineage": _lineage(context),
    }
    challenger, serving = publish_challenger(context, KIND, files, card, decision, start.champion)
    if serving is not None:
        return serving
    raise GateRefused(
        f"the first Pigeon was refused: {decision.reason}; give it more pigeon.reconstruction_steps or a higher learning rate, "
        f"or name a token model that knows these covers (its card is {challenger.prefix}/card.json)"
    )


def _outcome(
    trained: Trained,
    decision: Decision,
    version: ModelVersion,
    start: Start,
    windows: tuple[Windows, Windows],
    counts: dict[str, int],
) -> StageOutcome:
    return StageOutcome(
        outputs=[version.prefix],
        counts=counts | {"windows_learned": len(windows[0]), "windows_aside": len(windows[1]), "pairs": trained.num_pairs},
        figures={
            **decision.to_json(),
            "champion": version.version,
            "started_from": start.origin,
            "steps": trained.progress.total_steps,
            "best_step": trained.progress.best_step,
            "rollbacks": trained.progress.rollbacks,
            "checks": trained.progress.checks,
        },
    )
