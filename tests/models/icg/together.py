"""Trains on what a folder holds, in as many processes as were launched: ``python -m tests.models.icg.together FOLDER BATCH``.

Writes the gradients of the first alignment, reward and imitation steps, and what the stage said, for test_processes to compare.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import safetensors.torch

from icg_tasks.backbones.device import choose_compute
from icg_tasks.contracts.errors import Interrupted
from icg_tasks.lake.registry import require_champion
from icg_tasks.models.icg.audience import read_audience
from icg_tasks.models.icg.catalogue import read_catalogue
from icg_tasks.models.icg.ground import choose_start, open_studio
from icg_tasks.models.icg.train_adapter import run
from icg_tasks.models.icg.training import AdapterTraining
from icg_tasks.models.preference.model import KIND as PREFERENCE
from icg_tasks.models.training.processes import Processes
from icg_tasks.models.training.threads import one_thread
from icg_tasks.stage import StageContext, StopSign
from tests.models.icg.planting import opened


def gradients(context: StageContext, kind: str) -> dict[str, object]:
    """Clipped gradients of the first step, and the running scale after it."""
    compute = choose_compute(context.settings.backbones)
    processes = Processes.join(compute)
    learned, aside, _ = read_catalogue(context)
    studio = open_studio(context, require_champion(context.store, PREFERENCE, context.run_date), compute)
    training = AdapterTraining(
        studio,
        choose_start(context, studio, 256).adapter,
        (learned, aside),
        read_audience(context, 256),
        context.settings.adapter,
        folder=context.scratch("gradients"),
        identity="none",
        aligns=kind == "alignment",
        say=print,
        stop=lambda save: None,
        processes=processes,
    )
    if kind == "alignment":
        training._align()
    elif kind == "imitation":
        training._imitation_step(training._lessons())
    else:
        training._reward_step()
    found = {f"{kind}.{name}": part.grad for name, part in training.adapter.named_parameters() if part.grad is not None}
    return {"gradients": found, "moments": training.objective.scale.moments, "curve": training.progress.curves[-1]}


class StopSecond(StopSign):
    """Asked to stop in one process alone, after its first look."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def raised(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def main(folder: Path, batch: int) -> None:
    context = opened(folder, f"adapter.batch_size={batch}", "adapter.alignment_steps=1", "adapter.evaluate_every=3")
    processes = Processes.join(choose_compute(context.settings.backbones))
    with one_thread():
        searching = replace(
            context, settings=replace(context.settings, adapter=replace(context.settings.adapter, search_tastes=40))
        )
        found = [gradients(context, "alignment"), gradients(context, "reward"), gradients(searching, "imitation")]
    if processes.is_main:
        place = folder / f"of{processes.count}"
        place.mkdir()
        whole = {name: part for one in found for name, part in one["gradients"].items()}
        safetensors.torch.save_file(whole, place / "gradients.safetensors")
        (place / "figures.json").write_text(json.dumps([{"moments": f["moments"], "curve": f["curve"]} for f in found]))
    if processes.count == 1:
        return
    looks = 3 if processes.index == 1 else 1_000  # two before the first step
    try:
        run(replace(context, stop=StopSecond(looks)))
    except Interrupted as error:
        print(f"process {processes.index}: {error}", file=sys.stderr, flush=True)
    print(f"outcome {json.dumps(run(context).figures)}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
