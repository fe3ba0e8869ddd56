"""What readers and publishers cost: look-ups in an index of millions of rows, opening it cold, uploads beside ``aws s3 sync``.

Run: ``python -m benchmarks.publish [--rows 10000000] [--files 2000]``; writes RESULTS.md. The S3 endpoint is a moto server of
its own. ``aws`` is taken from PATH (awscli in an environment of its own: its botocore does not fit ours); without it there is
no comparison. Medians of ``--rounds`` runs; the index is built once.
"""

import argparse
import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.results import write_section
from icg_tasks.contracts.partitions import COVERS_CURRENT, blob_key
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.covers.checks import encode_webp
from icg_tasks.covers.index import CoverIndex
from icg_tasks.covers.index_build import IndexFile, write_index
from icg_tasks.covers.pointer import Pointer
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.partitions import PartitionFile
from icg_tasks.lake.store import ObjectStore, open_store

DAY = date(2026, 3, 10)
SEGMENTS = 64
CHUNK = 500_000
UPLOADERS = 16
Rows = list[tuple[str, str, str]]


def build(path: Path, pairs: int, users: int) -> tuple[IndexFile, float]:
    """An index of so many pairs and users, and the seconds it took (tables included)."""
    random = np.random.default_rng(0)
    began = time.perf_counter()

    def covers() -> Iterator[pa.Table]:
        for start in range(0, pairs, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, pairs))
            names = random.bytes(32 * len(numbers)).hex()
            yield pa.table(
                {
                    "segment_id": pa.array([segment(number) for number in numbers], pa.string()),
                    "item_id": pa.array([f"item-{number // SEGMENTS}" for number in numbers], pa.string()),
                    "variant": pa.array(np.zeros(len(numbers), dtype=np.int32)),
                    "cover_id": pa.array([names[64 * at : 64 * at + 64] for at in range(len(numbers))], pa.string()),
                    "width": pa.array(np.full(len(numbers), 512, dtype=np.int32)),
                    "height": pa.array(np.full(len(numbers), 512, dtype=np.int32)),
                    "made_on": pa.array(["2026-03-10"] * len(numbers), pa.string()),
                }
            )

    people = (range(start, min(start + CHUNK, users)) for start in range(0, users, CHUNK))
    columns = (([user(one) for one in part], [f"s{one % SEGMENTS}" for one in part]) for part in people)
    tables = (pa.table(list(pair), names=["user_id", "segment_id"]) for pair in columns)
    return write_index(path, DAY, tables, covers()), time.perf_counter() - began


def user(number: int) -> str:
    """A keyed hash, as far as anybody can tell."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def segment(number: int) -> str:
    """Of a pair; every 64th is everybody's."""
    return f"s{number % SEGMENTS}" if number % SEGMENTS else EVERYONE


def look_ups(answer: Callable[[str, str], object], users: int, items: int, count: int, seed: int) -> tuple[float, float, float]:
    """Microseconds at the median and the 99th percentile of random look-ups, and their mean CPU time."""
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
    for who, item in asked:
        answer(who, item)
    mean = (time.process_time() - spent) / count
    return float(np.percentile(taken, 50)) / 1e3, float(np.percentile(taken, 99)) / 1e3, mean * 1e6


def opened(store: Path, *, evicted: bool, key: str, behind: bool = False) -> float:
    """Seconds from an imported reader to its first answer, in a process of its own; all bytes hashed before or behind it."""
    if evicted:
        with (store / key).open("rb") as handle:
            os.fsync(handle.fileno())
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    code = (
        "import sys, time\nfrom icg_tasks.covers.read import CoverReader\nfrom icg_tasks.lake.store import open_store\n"
        "store = open_store(sys.argv[1])\nbegan = time.perf_counter()\n"
        "reader = CoverReader(store, check_behind=bool(int(sys.argv[3])))\n"
        "assert reader.cover(sys.argv[2], 'item-7', hashed=True)\nprint(time.perf_counter() - began)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(store), user(1), str(int(behind))], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def read_part(folder: Path, rows: int, users: int, count: int, rounds: int) -> list[str]:
    """Table rows about the reader."""
    key = "covers/v1/indexes/index"
    path = folder / key
    path.parent.mkdir(parents=True)
    file, seconds = build(path, rows, users)
    named = PartitionFile(key=key, rows=file.rows, size=file.size, sha256=file.sha256)
    store = open_store(str(folder))
    store.put(
        COVERS_CURRENT, Pointer(day=DAY, manifest="m", sha256=file.sha256, covers=[], user_segments=[], index=named).to_bytes()
    )
    cold = statistics.median(opened(folder, evicted=True, key=key) for _ in range(rounds))
    warm = statistics.median(opened(folder, evicted=False, key=key) for _ in range(rounds))
    behind = statistics.median(opened(folder, evicted=True, key=key, behind=True) for _ in range(rounds))
    began = time.perf_counter()
    index = CoverIndex(path, str(folder))
    mapped = time.perf_counter() - began
    reader = CoverReader(store, refresh_seconds=3600)
    items = rows // SEGMENTS
    found = [
        f"| rows: pairs and users; file | {file.rows:,} and {users:,}; {file.size / 1e6:.0f} MB |",
        f"| building it, once | {seconds:.0f} s |",
        f"| open to first answer, hash of all bytes included; pages evicted first | {cold:.2f} s |",
        f"| the same, pages in memory | {warm:.2f} s |",
        f"| open to first answer, hash behind it (check_behind); pages evicted first | {behind:.3f} s |",
        f"| mapping alone | {mapped * 1e3:.1f} ms |",
    ]
    ways = {"index": index.cover, "reader": lambda who, item: reader.cover(who, item, hashed=True)}
    for name, answer in ways.items():
        runs = [look_ups(answer, users, items, count, number) for number in range(rounds)]
        p50, p99, mean = (statistics.median(column) for column in zip(*runs, strict=True))
        found.append(f"| {count:,} random look-ups, {name}: p50, p99 | {p50:.2f} µs, {p99:.2f} µs (CPU time {mean:.2f} µs) |")
    return found


@contextmanager
def endpoint() -> Iterator[dict[str, str]]:
    """A moto server with a bucket, and the environment that leads there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    log = subprocess.DEVNULL
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "icg",
        "AWS_SECRET_ACCESS_KEY": "icg-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        os.environ |= variables
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        import boto3

        boto3.client("s3").create_bucket(Bucket="covers")
        yield variables
    finally:
        server.terminate()
        server.wait(timeout=30)


def write_part(folder: Path, count: int, rounds: int) -> list[str]:
    """Table rows about uploads: the same files to the same endpoint, each way in turn, each time to an empty prefix."""
    files: dict[str, Path] = {}
    for number in range(count):
        data = encode_webp(np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8), 90)
        key = blob_key(hashlib.sha256(data).hexdigest())
        files[key] = folder / key
        files[key].parent.mkdir(parents=True, exist_ok=True)
        files[key].write_bytes(data)
    size = sum(path.stat().st_size for path in files.values())
    ways: dict[str, Callable[[str], None]] = {
        "store.put, one after the other": lambda uri: _put(open_store(uri), files, 1),
        f"store.put, {UPLOADERS} at once": lambda uri: _put(open_store(uri), files, UPLOADERS),
    }
    aws = shutil.which("aws")
    if aws:
        ways["aws s3 sync"] = lambda uri: _sync(aws, folder, uri)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    with endpoint():
        for number in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                way(f"s3://covers/{number}-{len(name)}")
                taken[name].append(time.perf_counter() - began)
    found = [f"| files | {count:,}, {size / 1e6:.1f} MB |"]
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        found.append(f"| {name} | {median:.2f} s, {count / median:.0f} files per second |")
    return found


def _put(store: ObjectStore, files: dict[str, Path], at_once: int) -> None:
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda entry: store.put(entry[0], entry[1].read_bytes()), files.items()))


def _sync(aws: str, folder: Path, uri: str) -> None:
    subprocess.run([aws, "s3", "sync", "--only-show-errors", str(folder), uri], check=True, capture_output=True)


def main() -> None:
    """Read part, write part, table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--look-ups", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        read = read_part(Path(folder) / "store", arguments.rows, arguments.users, arguments.look_ups, arguments.rounds)
        written = write_part(Path(folder) / "files", arguments.files, arguments.rounds)
    text = "\n".join(["| reader | median |", "|---|---|", *read, "", "| upload | median |", "|---|---|", *written])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    text += f"\n\nLoad average at the end (1, 5, 15 minutes, this benchmark included): {load}."
    print(text)
    write_section("Publishing and reading", text)


if __name__ == "__main__":
    main()
