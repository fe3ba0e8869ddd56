"""The ``icg`` command: ``icg <stage> --run-date YYYY-MM-DD [--profile NAME] [--set key=value …]``.

Imports nothing heavy: a stage's module is imported only when that stage runs. stdout carries exactly one JSON line.
"""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from icg_tasks.contracts import stages as names
from icg_tasks.contracts.errors import EXIT_DONE, EXIT_FAILED, IcgError, Interrupted

if TYPE_CHECKING:
    from icg_tasks.stage import StageContext


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One extra command line argument of a stage; ``options`` go to argparse."""

    flag: str
    options: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage's module (with a ``run`` function), one line of help, extra arguments."""

    module: str
    summary: str
    arguments: tuple[Argument, ...] = ()


SHARD = Argument(flag="--shard", options={"type": int, "required": True, "help": "shard number from plan-covers, from 0"})
MAX_GPU_HOURS = Argument(
    flag="--max-gpu-hours", options={"type": float, "help": "of generate-covers; best expected clicks first (0: no bound)"}
)
DAYS = Argument(flag="--days", options={"type": int, "default": 1, "help": "how many days, ending with the run date"})
SOURCE = Argument(flag="source", options={"help": "outside format, e.g. classics"})
DRY_RUN = Argument(flag="--dry-run", options={"action": "store_true", "help": "only say what would be deleted"})
PATH = Argument(flag="--path", options={"required": True, "help": "folder of the outside data"})
DATASET = Argument(flag="--dataset", options={"default": "impressions", "help": "impressions or items"})
RULE = Argument(flag="--rule", options={"default": "", "help": "only rows held for this reason"})
LIST = Argument(flag="--list", options={"action": "store_true", "help": "only tell what is held and why"})

STAGES: dict[str, Stage] = {
    names.VALIDATE_ITEMS: Stage(module="icg_tasks.intake.validate_items", summary="catalogue: checks, quarantine, gate"),
    names.VALIDATE_IMPRESSIONS: Stage(
        module="icg_tasks.intake.validate_impressions", summary="impressions: checks, quarantine, gate, pseudonyms"
    ),
    names.EMBED_ITEMS: Stage(
        module="icg_tasks.features.embed_items", summary="item vectors by ONNX Runtime, new or changed only"
    ),
    names.BUILD_USER_EMBEDDINGS: Stage(
        module="spark_jobs.build_user_embeddings", summary="Spark: partial sums per day, decayed user vectors"
    ),
    names.ASSIGN_SEGMENTS: Stage(
        module="spark_jobs.assign_segments", summary="Spark: k-means segments, matched to yesterday's"
    ),
    names.TRAIN_PREFERENCE: Stage(module="icg_tasks.models.preference.train", summary="preference model, judged, gated"),
    names.ADAPT_DENOISER: Stage(
        module="icg_tasks.models.icg.adapt_denoiser", summary="LoRA of the denoiser to the catalogue's covers"
    ),
    names.TRAIN_ADAPTER: Stage(
        module="icg_tasks.models.icg.train_adapter", summary="ICG adapter and meta tokens, rewards, gated"
    ),
    names.TRAIN_PIGEON: Stage(
        module="icg_tasks.models.pigeon.train_pigeon", summary="Pigeon: masked reconstruction, pairwise alignment, gated"
    ),
    names.PLAN_COVERS: Stage(
        module="icg_tasks.covers.plan",
        summary="which (segment, item, variant) need a new image and why; shards",
        arguments=(MAX_GPU_HOURS,),
    ),
    names.GENERATE_COVERS: Stage(module="icg_tasks.covers.generate", summary="images of one shard", arguments=(SHARD,)),
    names.PUBLISH_COVERS: Stage(module="icg_tasks.covers.publish", summary="verify, manifest last, move current.json"),
    names.EVALUATE: Stage(module="icg_tasks.evaluation.evaluate", summary="arms by metrics, with intervals"),
    names.REPORT: Stage(module="icg_tasks.evaluation.report", summary="HTML page of what the day did"),
    names.ARRIVED: Stage(module="icg_tasks.arrived", summary="which raw data of the day is not there yet"),
    names.COLLECT_COVERS: Stage(
        module="icg_tasks.covers.collecting", summary="icg covers collect as a stage", arguments=(DRY_RUN,)
    ),
    names.HOUSEKEEPING: Stage(
        module="icg_tasks.housekeeping", summary="what is past its time and named by nothing, away", arguments=(DRY_RUN,)
    ),
    "simulate": Stage(module="icg_tasks.world.simulate", summary="embedded world: raw logs of recent days", arguments=(DAYS,)),
    "requeue": Stage(
        module="icg_tasks.intake.requeue", summary="quarantined rows through the rules again", arguments=(DATASET, RULE, LIST)
    ),
    "erase": Stage(module="icg_tasks.intake.erase", summary="forget users who asked for it, everywhere, with a certificate"),
    "rotate-key": Stage(module="icg_tasks.intake.rotate_key", summary="users move from the former key's hashes to the new"),
    "ingest": Stage(module="icg_tasks.intake.ingest", summary="outside data to raw data sets", arguments=(SOURCE, PATH)),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code (0 done, 3 refused, 75 interrupted, 2 usage, other failure)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["covers"]:
            from icg_tasks.covers.command import covers_command

            return covers_command(words[1:])
        return _run_stage(_parser().parse_args(words))
    except IcgError as error:
        print(f"icg: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("icg: interrupted at once; nothing half written is visible, run the same command again", file=sys.stderr)
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="icg", description="Personalised covers, one stage at a time.")
    commands = parser.add_subparsers(dest="stage", required=True, metavar="stage")
    commands.add_parser("covers", help="read published covers: icg covers get --user U --item I")
    for name, stage in STAGES.items():
        command = commands.add_parser(name, help=stage.summary, description=stage.summary)
        command.add_argument("--run-date", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
        command.add_argument("--profile", default=os.environ.get("ICG_PROFILE", "tiny"))
        command.add_argument("--set", action="append", default=[], metavar="section.field=value", dest="overrides")
        for argument in stage.arguments:
            command.add_argument(argument.flag, **argument.options)
    return parser


def _run_stage(arguments: argparse.Namespace) -> int:
    from icg_tasks.config import load_settings
    from icg_tasks.contracts.partitions import stage_run_key
    from icg_tasks.lake.store import open_store
    from icg_tasks.reuse import find_reusable, may_reuse, remember
    from icg_tasks.stage import StageContext

    extra = {key: value for key, value in vars(arguments).items() if key not in {"stage", "run_date", "profile", "overrides"}}
    overrides = [*os.environ.get("ICG_SET", "").split(), *arguments.overrides]
    settings = load_settings(arguments.profile, overrides, environ=os.environ)
    context = StageContext(
        stage=arguments.stage,
        run_date=arguments.run_date,
        settings=settings,
        store=open_store(settings.store),
        arguments=extra,
    )
    context.stop.install()
    part = str(extra["shard"]) if "shard" in extra else ""
    if may_reuse(context.stage, os.environ):
        known = find_reusable(context, part)
        if known is not None:
            context.say(
                "nothing it reads has changed since it last ran for this date: its results stand (FRESH=1 runs it again)"
            )
            print(known, flush=True)
            return EXIT_DONE
    outcome = _outcome(context)
    result = names.StageResult(
        stage=context.stage,
        run_date=context.run_date.isoformat(),
        seconds=round(time.monotonic() - context.started, 3),
        outputs=outcome.outputs,
        counts=outcome.counts,
        figures=outcome.figures,
    )
    line = result.to_json()
    context.store.put(stage_run_key(context.stage, context.run_date, part), line.encode())
    if may_reuse(context.stage, os.environ):
        remember(context, part, line)
    print(line, flush=True)
    return EXIT_DONE


def _outcome(context: "StageContext") -> names.StageOutcome:
    """Run the stage's module; what it saved when it was told to stop goes along to the next machine."""
    from icg_tasks.carry import Carrying

    carrying = Carrying(context, os.environ)
    carrying.fetch()
    try:
        outcome: names.StageOutcome = importlib.import_module(STAGES[context.stage].module).run(context)
    except Interrupted:
        carrying.send()
        raise
    carrying.drop()
    return outcome


if __name__ == "__main__":
    sys.exit(main())
