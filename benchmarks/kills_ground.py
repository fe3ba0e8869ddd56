"""The small life that benchmarks/kills.py disturbs: two days of covers and a collection, and what they leave behind.

A house of the tests with real, tiny models. Nothing to run here.
"""

import hashlib
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.pseudonym import KEY_VARIABLE, pseudonym
from icg_tasks.covers import generate, plan, progress, publish
from icg_tasks.covers.collect import collect
from icg_tasks.covers.engine import CoverEngine
from icg_tasks.covers.holds import DEAD_HOLD_SECONDS
from icg_tasks.covers.roots import Retention
from icg_tasks.lake.partitions import read_partition
from icg_tasks.lake.store import ObjectStore, open_store
from tests.covers.conftest import DAY, KEY, NEXT, House, fill_inputs
from tests.covers.studio import USER_WIDTH, build_studio, load_once

USERS = ("ann", "bob", "cyd", "nobody")
ITEMS = tuple(f"i{number}" for number in range(4))
_WRITTEN = ("covers/", "features/covers/", "runs/")
_CACHE = "covers/states/"
"""Read once, when covers were drawn; it may be lost at any time and decides nothing."""
Stage = tuple[str, Callable[[House], None]]


def stages() -> list[Stage]:
    """Two days and a collection, as an orchestrator runs them."""
    found: list[Stage] = []
    for day in (DAY, NEXT):
        found.append((f"plan {day}", lambda house, day=day: plan.run(house.context("plan-covers", day))))
        found.append((f"generate {day}", lambda house, day=day: _generate(house, day)))
        found.append((f"publish {day}", lambda house, day=day: publish.run(house.context("publish-covers", day))))
    return [*found, ("collect", lambda house: collect(house.store, Retention(dates=1, grace_seconds=0.0)))]


def _generate(house: House, day: date) -> None:
    for shard in sorted({row["shard"] for row in house.plan(day) if row["shard"] is not None}):
        generate.run(house.context("generate-covers", day, shard=shard))


@dataclass
class Life:
    """An undisturbed life: what each day's readers see, what is left, and how long each stage takes, in seconds."""

    shown: set[tuple[str, ...]]
    left: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)


def prepare(folder: Path) -> House:
    """Everything before planning, for both days: models loaded once, half of the items changed on the second day."""
    os.environ[KEY_VARIABLE] = KEY
    torch.set_num_threads(1)
    load_once(pytest.MonkeyPatch())
    remember_drawn()
    progress._SAVE_EVERY_SECONDS = 0.0  # so that kills meet saved progress too
    house = build_studio(folder)
    changed = {item: f"content-{number}" + ("-new" if number < 2 else "") for number, item in enumerate(ITEMS)}
    fill_inputs(house, NEXT, contents=changed, width=USER_WIDTH)
    return house


def copied(house: House, folder: Path) -> House:
    """The same house in another folder: inputs and models, nothing made yet."""
    shutil.copytree(house.settings.store, folder / "store")
    settings = replace(house.settings, store=str(folder / "store"), work_folder=str(folder / "work"))
    return House(store=open_store(settings.store), settings=settings)


def shown(store: ObjectStore, day: date) -> tuple[str, ...]:
    """Cover ids that everybody sees for everything on a published day, from its manifest by the rule in words."""
    covers = {
        (row["segment_id"], row["item_id"]): row["cover_id"]
        for row in read_partition(store, keys.COVER_MANIFESTS, day).to_pylist()
    }
    segment_of = {row["user_id"]: row["segment_id"] for row in read_partition(store, keys.USER_SEGMENTS, day).to_pylist()}
    mine = [segment_of.get(pseudonym(user, KEY.encode()), "_all") for user in USERS]
    return tuple(covers.get((one, item)) or covers.get(("_all", item)) or "" for one in mine for item in ITEMS)


def remember_drawn() -> None:
    """Draw every batch once; whoever forks afterwards has its covers at hand."""
    make: Callable[..., Generator[list[Any], None, None]] = CoverEngine.make
    drawn: dict[tuple[tuple[str, int, bytes], ...], list[Any]] = {}

    def remembered(self: CoverEngine, batches: Iterable[list[Any]]) -> Generator[list[Any], None, None]:
        for batch in batches:
            name = tuple((one.item_id, one.seed, one.image_bytes) for one in batch)
            if name not in drawn:
                (drawn[name],) = list(make(self, [batch]))
            yield drawn[name]

    CoverEngine.make = remembered


def run_from(house: House, first: int, said: Connection | None = None) -> None:
    """The stages from one on; each is announced before it begins. Standard error is nobody's here."""
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - the process ends with it
    for number, (_, work) in list(enumerate(stages()))[first:]:
        if said is not None:
            said.send(number)
        work(house)


def undisturbed(house: House, again: House) -> Life:
    """Live it once in this process, which is warm afterwards, and once in a fork, to see how long it takes."""
    life = Life(shown=set(), left={})
    for name, work in stages():
        work(house)
        if name.startswith("publish"):
            life.shown.add(shown(house.store, DAY if str(DAY) in name else NEXT))
    life.left = contents(house)
    fork = multiprocessing.get_context("fork")
    heard, said = fork.Pipe(duplex=False)
    timed = fork.Process(target=run_from, args=(again, 0, said), daemon=True)
    timed.start()
    said.close()
    began = [(heard.recv(), time.perf_counter())[1] for _ in stages()]
    timed.join()
    ends = [*began[1:], time.perf_counter()]
    life.seconds = {name: end - start for (name, _), start, end in zip(stages(), began, ends, strict=True)}
    return life


def contents(house: House) -> dict[str, str]:
    """Hash of everything that the stages wrote, after a collection that outlives all holds and dooms of the dead."""
    late = time.time() + 2 * DEAD_HOLD_SECONDS
    collect(house.store, Retention(dates=1, grace_seconds=0.0), clock=lambda: late)
    written = [key for key in house.store.list("") if key.startswith(_WRITTEN) and not key.startswith(_CACHE)]
    found = {key: hashlib.sha256(house.store.get(key)).hexdigest() for key in written}
    staged = Path(house.settings.store) / ".icg" / "staging"
    return found | {f"half-written {path.name}": "" for path in staged.iterdir()}


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """What is missing, too much, or has other bytes."""
    missing = [f"missing {key}" for key in sorted(wanted.keys() - found.keys())]
    orphans = [f"orphan {key}" for key in sorted(found.keys() - wanted.keys())]
    return [
        *missing,
        *orphans,
        *(f"other bytes in {key}" for key in sorted(wanted.keys() & found.keys()) if wanted[key] != found[key]),
    ]
