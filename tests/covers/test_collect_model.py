"""Publishers, roll-backs, pins, readers and collectors, interleaved at every store operation and killed at any of them.

Real code on a store in memory. After each operation: whatever current.json or any manifest names is there. At the end: no
orphan.
"""

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icg_tasks.config.settings import Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import IcgError
from icg_tasks.covers import collect as collect_module
from icg_tasks.covers import examine, holds
from icg_tasks.covers.collect import DEAD_DOOM_SECONDS, collect
from icg_tasks.covers.command import _rollback
from icg_tasks.covers.holds import DEAD_HOLD_SECONDS
from icg_tasks.covers.pointer import parse_pointer, pointer_from
from icg_tasks.covers.read import CoverReader
from icg_tasks.covers.roots import Retention
from tests.covers.memory_store import MemoryStore
from tests.covers.small_days import FIRST, USERS, SmallDays

PATIENCE = 60.0


class Killed(BaseException):
    """kill -9: nothing of the actor runs any more, no cleaning up either."""


class Serial:
    """An executor whose work is done by the actor itself, so that its store operations are scheduled too."""

    def __init__(self, *_: Any) -> None:
        pass

    def __enter__(self) -> "Serial":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def map(self, function: Callable[[Any], Any], rows: list[Any]) -> Iterator[Any]:
        return iter([function(row) for row in rows])


@dataclass
class Actor:
    """Something that runs until its next store operation whenever it is allowed to."""

    name: str
    work: Callable[[], Any]
    killed_at: int | None
    operations: int = 0
    dead: bool = False
    next: str = ""  # the operation it waits before
    ended: Future[Any] = field(default_factory=Future)
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    stopped: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self) -> None:
        def body() -> None:
            self.go.acquire()
            try:
                self.ended.set_result(self.work())
            except (Exception, Killed) as error:
                self.ended.set_exception(error)
            self.stopped.release()

        threading.Thread(target=body, name=self.name, daemon=True).start()

    def pause(self, operation: str) -> None:
        """Called by the store, in the actor's own thread, ahead of each operation."""
        if self.dead:
            raise Killed
        self.next = operation
        self.stopped.release()
        self.go.acquire()
        self.operations += 1
        if self.operations == self.killed_at:
            self.dead = True
            raise Killed

    def step(self) -> None:
        """One store operation, and all up to the next one."""
        self.go.release()
        assert self.stopped.acquire(timeout=PATIENCE), f"{self.name} hangs"


@dataclass
class World:
    """The store, who acts on it, and what must always hold."""

    store: MemoryStore
    actors: list[Actor] = field(default_factory=list)
    _named: dict[str, set[str]] = field(default_factory=dict)
    _pointers: dict[bytes, Any] = field(default_factory=dict)

    def run(self, schedule: list[tuple[int, int, str]]) -> None:
        by_thread = {actor.name: actor for actor in self.actors}

        def before(operation: str, key: str) -> None:
            actor = by_thread.get(threading.current_thread().name)
            if actor is not None:
                actor.pause(f"{operation} {key}")

        self.store.before = before
        for actor in self.actors:
            actor.start()
        for number, length, stop in [*schedule, *((number, 10_000, "") for number in range(len(self.actors)))]:
            actor = self.actors[number % len(self.actors)]
            for _ in range(length):
                if actor.ended.done():
                    break
                written = self.store.written
                actor.step()
                if self.store.written != written:
                    self.check(actor.name)
                if stop and stop in actor.next:
                    break
        self.store.before = lambda operation, key: None

    def check(self, who: str) -> None:
        for key, (data, _) in list(self.store.objects.items()):
            if key != keys.COVERS_CURRENT and not _is_manifest(key):
                continue
            if data not in self._pointers:
                day = keys.parse_partition_date(key)
                self._pointers[data] = parse_pointer(data) if day is None else pointer_from(data, day)
            pointer = self._pointers[data]
            missing = self.named(pointer) - self.store.objects.keys()
            assert not missing, f"after an operation of {who}, {key} names {sorted(missing)}"

    def named(self, pointer: Any) -> set[str]:
        if pointer.sha256 not in self._named:
            wanted = {file.key for file in pointer.covers} | {pointer.index.key, pointer.manifest}
            for file in pointer.covers:
                if file.key not in self.store.objects:
                    return wanted
                wanted |= set(pq.read_table(io.BytesIO(self.store.objects[file.key][0]), use_threads=False)["blob"].to_pylist())
            self._named[pointer.sha256] = wanted
        return self._named[pointer.sha256]


def read_everything(store: MemoryStore) -> None:
    """A reader's life: look, answer, load the image. What fails may fail only because another day is up by now."""
    reader = CoverReader(store, refresh_seconds=3600)
    for _ in range(3):
        before = store.get_with_etag(keys.COVERS_CURRENT)
        reader.refresh()
        for user in USERS:
            for item in ("i0", "i1", "i2"):
                cover = reader.cover(user, item, hashed=True)
                if cover is None:
                    continue
                try:
                    reader.image(cover)
                except IcgError:
                    assert store.get_with_etag(keys.COVERS_CURRENT) != before, f"{cover} is up, and its image is gone"


def _operator(store: MemoryStore, number: int, verb: str) -> None:
    day = FIRST + timedelta(days=number)
    if verb == "rollback":
        _rollback(store, Settings(), _Arguments(day))
    elif verb == "pin":
        holds.pin(store, day)
    else:
        holds.unpin(store, day)


@dataclass
class _Arguments:
    to: Any


PICTURES = st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True)
PUBLISHER = st.tuples(st.just("publish"), st.integers(0, 5), PICTURES, st.sampled_from([None, None, 0, 1, 2]))
COLLECTOR = st.tuples(st.just("collect"), st.integers(1, 2), st.sampled_from([0.0, 20.0]))
OPERATOR = st.tuples(st.sampled_from(["rollback", "pin", "unpin"]), st.integers(0, 3))
READER = st.just(("read",))
KILL = st.one_of(st.none(), st.none(), st.integers(1, 120))
CAST = st.tuples(PUBLISHER, COLLECTOR, st.one_of(PUBLISHER, READER, OPERATOR), st.one_of(PUBLISHER, COLLECTOR, OPERATOR))
STOPS = (
    "delete covers/v1/blobs",
    "delete covers/v1/manifests",
    "put covers/v1/dooms",
    "put covers/v1/holds",
    "covers/v1/current",
)
TURN = st.one_of(
    st.tuples(st.integers(0, 3), st.integers(1, 60), st.just("")),
    st.tuples(st.integers(0, 3), st.just(10_000), st.sampled_from(STOPS)),  # as far as just before something decisive
)
SCHEDULE = st.lists(TURN, max_size=12)


def _work(days: SmallDays, part: tuple[Any, ...]) -> Callable[[], Any]:
    store = days.store
    if part[0] == "publish":
        return lambda: days.publish(part[1], part[2], part[3])
    if part[0] == "collect":
        retention = Retention(dates=part[1], grace_seconds=part[2])
        return lambda: collect(store, retention, clock=lambda: store.now)
    if part[0] == "read":
        return lambda: read_everything(store)
    return lambda: _operator(store, part[1], part[0])


@contextmanager
def _serial() -> Iterator[None]:
    former = examine.ThreadPoolExecutor
    examine.ThreadPoolExecutor = Serial
    try:
        yield
    finally:
        examine.ThreadPoolExecutor = former


@cache
def three_days(folder: Path) -> dict[str, tuple[bytes, float]]:
    """What the play begins with."""
    days = SmallDays.within(MemoryStore(), folder)
    for number, pictures in enumerate(([0, 1], [1, 2], [2, 3])):
        days.publish(number, pictures)
    return days.store.objects


def play(folder: Path, cast: Any, kills: Any, schedule: Any) -> None:
    """One interleaving, checked all the way; then the end of it."""
    store = MemoryStore()
    store.objects |= three_days(folder)
    store.now += 1_000.0
    days = SmallDays.within(store, folder)
    world = World(store)
    for number, (part, kill) in enumerate(zip(cast, kills, strict=True)):
        work = _work(days, part)
        world.actors.append(Actor(name=f"{part[0]}-{number}", work=work, killed_at=kill if part[0] != "read" else None))
    with _serial():
        world.run(schedule)
    for actor in world.actors:
        error = actor.ended.exception()
        assert error is None or isinstance(error, (Killed, IcgError)), f"{actor.name} failed with {error!r}"
        assert actor.name.split("-")[0] != "read" or error is None, f"the reader failed with {error!r}"
    _no_orphan_survives(world)


def _no_orphan_survives(world: World) -> None:
    store = world.store
    store.now += max(DEAD_HOLD_SECONDS, DEAD_DOOM_SECONDS) + 1
    report = collect(store, Retention(dates=2, grace_seconds=100.0), clock=lambda: store.now)
    world.check("the last collection")
    assert report.finished
    left = {key for key in store.objects if key.startswith(f"{keys.COVER_BLOBS}/")}
    wanted = collect(store, Retention(dates=2, grace_seconds=100.0), dry_run=True, clock=lambda: store.now)
    assert (wanted.objects.total(), wanted.retired) == (0, []), "one collection is enough"
    working = {
        key for key in store.objects if key.startswith((keys.COVER_PLANS, keys.COVER_SHARDS)) and key.endswith("parquet")
    }
    named = set()
    for key in working:
        table = pq.read_table(io.BytesIO(store.objects[key][0]), use_threads=False)
        column = "kept_cover_id" if key.startswith(keys.COVER_PLANS) else "cover_id"
        named |= {keys.blob_key(name) for name in table[column].to_pylist() if name}
    pointers = [
        pointer_from(data, keys.parse_partition_date(key)) for key, (data, _) in store.objects.items() if _is_manifest(key)
    ]
    for pointer in [*pointers, parse_pointer(store.objects[keys.COVERS_CURRENT][0])]:
        named |= world.named(pointer)
    assert left <= named
    alive = [key for key in store.objects if key.startswith((keys.COVER_DOOMS, f"{keys.COVER_HOLDS}/publish"))]
    assert alive == []


def _is_manifest(key: str) -> bool:
    return key.startswith(f"{keys.COVER_MANIFESTS}/") and key.endswith(keys.PARTITION_MANIFEST)


NOBODY = (None, None, None, None)
END = 10_000
REUSE = ("publish", 4, [0, 4], None)  # draws again what only day 0 showed
COLLECT, READ, BACK = ("collect", 1, 0.0), ("read",), ("rollback", 0)
UP_TO_BLOBS = (1, END, "delete covers/v1/blobs")
BETWEEN_LOOK_AND_DELETION = ((REUSE, COLLECT, READ, READ), NOBODY, [UP_TO_BLOBS, (0, END, ""), (1, END, "")])
BETWEEN_LOOKS = ((REUSE, COLLECT, READ, READ), NOBODY, [(1, END, "put covers/v1/dooms")] * 2 + [(0, END, ""), (1, END, "")])
BACK_TO_WHAT_GOES = ((BACK, COLLECT, READ, READ), NOBODY, [(1, END, "delete covers/v1/manifests"), (0, END, ""), (1, END, "")])
DANGEROUS = {"deletion": BETWEEN_LOOK_AND_DELETION, "looks": BETWEEN_LOOKS, "back": BACK_TO_WHAT_GOES}


@pytest.mark.parametrize("name", DANGEROUS)
def test_the_most_dangerous_moments(tmp_path: Path, name: str) -> None:
    play(tmp_path, *DANGEROUS[name])


def _no_doom_is_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holds, "doomed", lambda store, doom: set())


def _no_second_look(patch: pytest.MonkeyPatch) -> None:
    real, seen = collect_module._Collection._roots, {}

    def only_once(self, gone):
        if id(self) not in seen:
            seen[id(self)] = (self, real(self, gone))
        return seen[id(self)][1]

    patch.setattr(collect_module._Collection, "_roots", only_once)


MISSING = [("deletion", _no_doom_is_seen), ("back", _no_doom_is_seen), ("looks", _no_second_look)]


@pytest.mark.parametrize(("name", "mutation"), MISSING)
def test_the_model_notices_a_protocol_with_a_part_missing(tmp_path: Path, monkeypatch, name: str, mutation) -> None:
    mutation(monkeypatch)
    with pytest.raises(AssertionError, match="names"):
        play(tmp_path, *DANGEROUS[name])


SLOW_BOX = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


@settings(max_examples=25, **SLOW_BOX)
@given(cast=CAST, kills=st.tuples(KILL, KILL, KILL, KILL), schedule=SCHEDULE)
def test_nobody_loses_what_is_named_and_nothing_unnamed_stays(tmp_path_factory, cast, kills, schedule) -> None:
    play(tmp_path_factory.getbasetemp() / "work", cast, kills, schedule)


@pytest.mark.slow
@settings(max_examples=600, **SLOW_BOX | {"derandomize": False})
@given(cast=CAST, kills=st.tuples(KILL, KILL, KILL, KILL), schedule=SCHEDULE)
def test_the_same_over_many_more_interleavings(tmp_path_factory, cast, kills, schedule) -> None:
    play(tmp_path_factory.getbasetemp() / "work", cast, kills, schedule)
