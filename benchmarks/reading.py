"""What a reader costs: opening an index of millions of rows cold, and random look-ups in it.

Run: ``python -m benchmarks.reading [--rows 10000000] [--index FILE]``; writes RESULTS.md. The index is built once, and kept
where ``--index`` says. Medians of ``--rounds`` runs.
"""

import argparse
import functools
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmarks.results import write_section
from icg_tasks.contracts.partitions import COVERS_CURRENT
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.covers.index import CoverIndex
from icg_tasks.covers.index_build import IndexFile, write_index
from icg_tasks.covers.pointer import IndexEntry, Pointer
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.store import open_store

DAY = date(2026, 3, 10)
SEGMENTS = 64
CHUNK = 500_000
Latency = tuple[float, float, float]
"""Microseconds: median, 99th percentile, mean of the processor (0: not measured)."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Seconds of building an index, by the clock and of all its threads' processors; the tables it is made of are not in."""

    wall: float
    processor: float


def build(path: Path, pairs: int, users: int) -> tuple[IndexFile, Taken]:
    """An index of so many pairs and users."""
    random = np.random.default_rng(0)
    covers = [pair_rows(random, np.arange(start, min(start + CHUNK, pairs))) for start in range(0, pairs, CHUNK)]
    people = [range(start, min(start + CHUNK, users)) for start in range(0, users, CHUNK)]
    columns = [([user(one) for one in part], [f"s{one % SEGMENTS}" for one in part]) for part in people]
    tables = [pa.table(list(pair), names=["user_id", "segment_id"]) for pair in columns]
    wall, processor = time.perf_counter(), time.process_time()
    written = write_index(path, DAY, tables, covers)
    return written, Taken(wall=time.perf_counter() - wall, processor=time.process_time() - processor)


def pair_rows(random: np.random.Generator, numbers_N: NDArray[np.int64]) -> pa.Table:
    """Manifest columns of these pairs; every 64th pair is everybody's."""
    count, names = len(numbers_N), pa.array([EVERYONE, *(f"s{number}" for number in range(1, SEGMENTS))])
    ids, places = pa.py_buffer(random.bytes(32 * count).hex().encode()), np.arange(0, 64 * count + 1, 64, dtype=np.int32)
    items = pc.binary_join_element_wise("item-", pc.cast(pa.array(numbers_N // SEGMENTS), pa.string()), "")
    return pa.table(
        {
            "segment_id": names.take(pa.array(numbers_N % SEGMENTS)),
            "item_id": items,
            "variant": pa.array(np.zeros(count, dtype=np.int32)),
            "cover_id": pa.StringArray.from_buffers(count, pa.py_buffer(places), ids),
            "width": pa.array(np.full(count, 512, dtype=np.int32)),
            "height": pa.array(np.full(count, 512, dtype=np.int32)),
            "made_on": pa.repeat("2026-03-10", count),
        }
    )


def user(number: int) -> str:
    """A keyed hash, as far as anybody can tell."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def look_ups(
    answer: Callable[[str, str], object], users: int, items: int, count: int, seed: int, *, mean: bool = True
) -> Latency:
    """Microseconds at the median and the 99th percentile of random look-ups, and with ``mean`` their mean CPU time, again."""
    random = np.random.default_rng(seed)
    who_and_what = zip(random.integers(0, users, count), random.integers(0, items, count), strict=True)
    asked = [(user(int(a)), f"item-{b}") for a, b in who_and_what]
    taken = np.empty(count, dtype=np.int64)
    clock = time.perf_counter_ns
    for at, (who, item) in enumerate(asked):
        began = clock()
        answer(who, item)
        taken[at] = clock() - began
    spent = time.process_time()
    for who, item in asked if mean else ():
        answer(who, item)
    each = (time.process_time() - spent) / count * 1e6 if mean else 0.0
    return float(np.percentile(taken, 50)) / 1e3, float(np.percentile(taken, 99)) / 1e3, each


def opened(store: Path, *, evicted: bool, key: str) -> float:
    """Seconds from an imported reader to its first answer, in a process of its own; what it answers from is checked."""
    if evicted:
        with (store / key).open("rb") as handle:
            os.fsync(handle.fileno())
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    code = (
        "import sys, time\nfrom icg_tasks.covers.read import CoverReader\nfrom icg_tasks.lake.store import open_store\n"
        "store = open_store(sys.argv[1])\nbegan = time.perf_counter()\n"
        "assert CoverReader(store).cover(sys.argv[2], 'item-7', hashed=True)\nprint(time.perf_counter() - began)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store), user(1)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def index_at(path: Path, kept: Path | None, rows: int, users: int) -> tuple[IndexEntry, Taken]:
    """The index, built or taken from where an earlier run kept it, and what building took."""
    said = kept.with_suffix(".json") if kept else None
    if kept is not None and said is not None and said.exists():
        path.hardlink_to(kept)
        file, taken = json.loads(said.read_text())
        return IndexEntry(key="covers/v1/indexes/index", **file), Taken(**taken)
    written, built = build(path, rows, users)
    if kept is not None and said is not None:
        kept.hardlink_to(path)
        said.write_text(json.dumps([vars(written), vars(built)]))
    return IndexEntry(key="covers/v1/indexes/index", **vars(written)), built


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes, once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def read_part(folder: Path, kept: Path | None, rows: int, users: int, count: int, rounds: int) -> list[str]:
    """Table rows about the reader."""
    path = folder / "covers/v1/indexes/index"
    path.parent.mkdir(parents=True)
    file, built = index_at(path, kept, rows, users)
    store = open_store(str(folder))
    pointer = Pointer(day=DAY, manifest="m", sha256=file.sha256, covers=[], user_segments=[], index=file)
    store.put(COVERS_CURRENT, pointer.to_bytes())
    cold = [opened(folder, evicted=True, key=file.key) for _ in range(rounds)]
    warm = [opened(folder, evicted=False, key=file.key) for _ in range(rounds)]
    index = CoverIndex(path, str(folder), file.seal)
    items = rows // SEGMENTS
    found = [
        f"| rows: pairs and users; file | {file.rows:,} and {users:,}; {file.size / 1e6:.0f} MB |",
        f"| building it from its tables, once | {built.wall:.1f} s (CPU time {built.processor:.1f} s) |",
        f"| open to first answer, checked, pages evicted first | {statistics.median(cold):.3f} s (worst {max(cold):.3f} s) |",
        f"| the same, pages in memory | {statistics.median(warm):.3f} s (worst {max(warm):.3f} s) |",
        f"| for comparison: the hash of all bytes, pages in memory | {timed(index.sha256):.2f} s |",
    ]
    for name, behind in (("checked on the way", False), ("and in a thread behind", True)):
        fresh = (CoverReader(store, refresh_seconds=3600, check_behind=behind) for _ in range(rounds))
        runs = [look_ups(asking(one), users, items, count, number, mean=False) for number, one in enumerate(fresh)]
        found.append(f"| first {count:,} random look-ups of a reader, blocks {name}: p50, p99 | {_middle(runs)} |")
    found.append(f"| checking all blocks at once | {timed(index.check_all):.2f} s |")
    used = asking(CoverReader(store, refresh_seconds=3600))
    look_ups(used, users, items, count, rounds, mean=False)  # most of its blocks are checked now
    for name, answer in (("index", index.cover), ("reader", used)):
        runs = [look_ups(answer, users, items, count, number) for number in range(rounds)]
        found.append(f"| {count:,} random look-ups, {name}: p50, p99 | {_middle(runs)} |")
    return found


def asking(reader: CoverReader) -> Callable[[str, str], object]:
    """A reader's way to answer, from keyed hashes."""
    return functools.partial(reader.cover, hashed=True)


def _middle(runs: list[Latency]) -> str:
    p50, p99, mean = (statistics.median(column) for column in zip(*runs, strict=True))
    said = f"{p50:.2f} µs, {p99:.2f} µs"
    return f"{said} (CPU time {mean:.2f} µs)" if mean else said


def main() -> None:
    """Index, look-ups, table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--look-ups", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--index", type=Path, help="where to keep the index, or to take it from")
    arguments = parser.parse_args()
    asked = (arguments.rows, arguments.users, arguments.look_ups, arguments.rounds)
    with tempfile.TemporaryDirectory(dir=arguments.index.parent if arguments.index else None) as folder:
        rows = read_part(Path(folder) / "store", arguments.index, *asked)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    text = "\n".join(["| reader | median |", "|---|---|", *rows])
    text += f"\n\nLoad average at the end (1, 5, 15 minutes, this benchmark included): {load}."
    print(text)
    write_section("Reading published covers", text)


if __name__ == "__main__":
    main()
