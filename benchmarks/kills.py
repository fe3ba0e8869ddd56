"""``kill -9`` at random moments of planning, generating, publishing and collecting: what is left, and what readers saw.

Two days of a small catalogue, with real (tiny) models and a folder as store. A warmed process, which has drawn every cover once
and remembers the pixels, forks one that lives the days; it is killed at a random moment of a random stage, the stage is run
again as an orchestrator would, then the rest. A reader process polls all the while. Afterwards the store must hold, byte for
byte, what an undisturbed life leaves: nothing less and, once a collection has passed, nothing more.
Run: ``python -m benchmarks.kills [--rounds 200] [--seed 7]``.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from benchmarks.kills_ground import (
    ITEMS,
    USERS,
    Life,
    contents,
    copied,
    differences,
    prepare,
    run_from,
    stages,
    undisturbed,
)
from benchmarks.results import write_section
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import IcgError
from icg_tasks.covers.pointer import parse_pointer
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.store import open_store
from tests.covers.conftest import House


def watch(store_folder: str, life: Life, stop: Event, said: Connection) -> None:
    """A reader's process: each look-up must be one whole day, its images there and right."""
    store, looks, torn = open_store(store_folder), 0, []
    reader = CoverReader(store, refresh_seconds=3600.0)
    while not stop.is_set():
        reader.refresh()
        if reader.day is None:
            time.sleep(0.005)
            continue
        covers = [reader.cover(user, item) for user in USERS for item in ITEMS]
        if tuple(cover.cover_id if cover else "" for cover in covers) not in life.shown:
            torn.append(f"a look-up of {reader.day} mixes or misses covers")
        for cover in {cover.cover_id: cover for cover in covers if cover}.values():
            try:
                reader.image(cover)
            except IcgError as error:
                if parse_pointer(store.get(keys.COVERS_CURRENT)).day == cover.day:  # else it was let go behind our back
                    torn.append(str(error))
        looks += 1
        time.sleep(0.002)
    said.send((looks, torn))


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When somebody is killed: so far into a stage, as a share of how long it takes undisturbed."""

    stage: int
    share: float


def moments(count: int, seed: int) -> Iterator[Moment]:
    """All stages alike often, each at a random moment, a little beyond its end included."""
    dice = np.random.default_rng(seed)
    for number in range(count):
        yield Moment(stage=number % len(stages()), share=float(dice.uniform(0.0, 1.1)))


def killed_once(house: House, life: Life, moment: Moment) -> tuple[str, int, list[str]]:
    """One life with a kill in it: which stage it hit ("none": it was over before), looks of the reader, what was wrong."""
    fork = multiprocessing.get_context("fork")
    heard, said = fork.Pipe(duplex=False)
    seen, told = fork.Pipe(duplex=False)
    stop = fork.Event()
    reader = fork.Process(target=watch, args=(house.settings.store, life, stop, told), daemon=True)
    first = fork.Process(target=run_from, args=(house, 0, said), daemon=True)
    reader.start()
    first.start()
    said.close()
    names = [name for name, _ in stages()]
    at = -1
    while at < moment.stage:
        at = heard.recv()
    time.sleep(moment.share * life.seconds[names[at]])
    os.kill(first.pid or 0, signal.SIGKILL)
    first.join()
    while heard.poll():
        try:
            at = heard.recv()
        except EOFError:
            break
    second = fork.Process(target=run_from, args=(house, at), daemon=True)
    second.start()
    second.join()
    stop.set()
    looks, wrong = seen.recv()
    reader.join()
    if second.exitcode != 0:
        wrong = [*wrong, f"the stages after the kill ended with {second.exitcode}"]
    return names[at] if first.exitcode == -signal.SIGKILL else "none", looks, [*wrong, *differences(life.left, contents(house))]


def kill_rounds(rounds: int, seed: int) -> tuple[Counter[str], int, list[str]]:
    """Kills by stage, looks of all readers, everything that was wrong."""
    killed: Counter[str] = Counter()
    looks, wrong = 0, []
    with tempfile.TemporaryDirectory() as place:
        untouched = prepare(Path(place) / "house")
        life = undisturbed(copied(untouched, Path(place) / "calm"), copied(untouched, Path(place) / "timed"))
        for number, moment in enumerate(moments(rounds, seed)):
            folder = Path(place) / f"round-{number}"
            stage, seen, faults = killed_once(copied(untouched, folder), life, moment)
            killed[stage] += 1
            looks += seen
            wrong += [f"round {number}, killed in {stage} at {moment.share:.3f} of it: {fault}" for fault in faults]
            shutil.rmtree(folder)
            print(f"round {number + 1} of {rounds}: killed in {stage}; {len(wrong)} faults so far", file=sys.stderr)
    return killed, looks, wrong


def main() -> None:
    """Rounds, table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    began = time.monotonic()
    killed, looks, wrong = kill_rounds(arguments.rounds, arguments.seed)
    too_late = killed.pop("none", 0)
    rows = [f"| killed in {stage} | {count} |" for stage, count in sorted(killed.items())]
    rows += [f"| too late: all of it was over | {too_late} |"]
    rows += [
        f"| looks of the readers, each at a whole day | {looks:,} |",
        f"| faults: torn, lost, orphaned, other bytes | {len(wrong)} |",
    ]
    text = "\n".join(["| kill -9 | |", "|---|---|", *rows, "", f"{(time.monotonic() - began) / 60:.0f} minutes.", *wrong])
    print(text)
    write_section("Killed at random moments", text)
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
