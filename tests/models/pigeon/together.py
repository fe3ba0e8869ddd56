"""Trains on what a folder holds, in as many processes as were launched.

``python -m tests.models.pigeon.together FOLDER TOKEN_MODEL BATCH``

Writes the gradients of a step of either stage, and what the stage said, for test_processes to compare.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.backbones.tokens.table import open_token_model
from icg_tasks.contracts.errors import GateRefused, Interrupted
from icg_tasks.models.icg.catalogue import read_catalogue
from icg_tasks.models.pigeon import train_pigeon
from icg_tasks.models.pigeon.atelier import Atelier, Covers
from icg_tasks.models.pigeon.model import Pigeon, PigeonShape
from icg_tasks.models.pigeon.training import PigeonTraining
from icg_tasks.models.pigeon.windows import read_windows
from icg_tasks.models.training.processes import Processes
from icg_tasks.models.training.threads import one_thread
from icg_tasks.stage import StageContext, StopSign
from tests.models.pigeon.planting import opened


def gradients(context: StageContext) -> dict[str, torch.Tensor]:
    """Clipped gradients of the first step of stage 1, then of stage 2 on the pairs that follow."""
    compute = choose_compute(context.settings.backbones)
    settings = context.settings.pigeon
    tokens = open_token_model(settings.token_family, settings.token_model, compute)
    learned, aside, _ = read_catalogue(context)
    catalogue = train_pigeon.together(learned, aside)
    atelier = Atelier(
        tokens=tokens,
        covers=Covers.of(tokens, catalogue),
        encoder=DualEncoder.load(resolve_checkpoint(context.settings.backbones.encoder)),
        settings=settings,
    )
    pigeon = Pigeon(tokens, PigeonShape.of(tokens, settings), settings.seed)
    training = PigeonTraining(
        atelier,
        pigeon,
        read_windows(context, catalogue),
        folder=context.scratch("gradients") / "checkpoint",
        identity="none",
        say=print,
        stop=lambda save: None,
        processes=Processes.join(compute),
    )
    found = {}
    training._reconstruct()
    found |= {f"first.{name}": part.grad for name, part in pigeon.trained().items()}
    pigeon.wear(training.state.start)
    training._begin_preference()
    training._prefer(training._check_of(training.state.best))
    found |= {f"second.{name}": part.grad for name, part in pigeon.trained().items() if part.requires_grad}
    assert training.state.pairs is not None
    return found | {f"pairs.{name}": part.float() for name, part in training.state.pairs.tensors().items()}


class StopSecond(StopSign):
    """Asked to stop in one process alone, after some looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def raised(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def main(folder: Path, token_model: Path, batch: int) -> None:
    context = opened(folder, token_model, f"pigeon.batch_size={batch}")
    processes = Processes.join(choose_compute(context.settings.backbones))
    with one_thread():
        found = gradients(context)
    if processes.is_main:
        safetensors.torch.save_file({name: part.contiguous() for name, part in found.items()}, folder / f"of{processes.count}")
    if processes.count == 1:
        return
    # one before the training, three in stage 1, two while pairs are written: so in stage 2
    looks = 6 if processes.index == 1 else 1_000
    try:
        train_pigeon.run(replace(context, stop=StopSecond(looks)))
    except Interrupted as error:
        print(f"process {processes.index}: {error}", file=sys.stderr, flush=True)
    try:
        print(f"outcome {json.dumps(train_pigeon.run(context).figures)}", flush=True)
    except GateRefused as error:
        print(f"outcome {json.dumps(str(error))}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
