"""What publishers' uploads cost beside ``aws s3 sync``: the same files, the same endpoint.

Run: ``python -m benchmarks.publish [--files 2000]``; writes RESULTS.md. The S3 endpoint is the one that AWS_ENDPOINT_URL names
(``infra/rgw-up`` starts a gateway), else a moto server of its own. ``aws`` is taken from PATH (awscli in an environment of its
own: its botocore does not fit ours); without it there is no comparison. Medians of ``--rounds`` runs.
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
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.results import write_section
from icg_tasks.contracts.partitions import blob_key
from icg_tasks.covers.checks import encode_webp
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.lake.uploads import WRITERS, Uploads


@contextmanager
def endpoint() -> Iterator[dict[str, str]]:
    """The environment that leads to a server with a bucket ``covers``: one of one's own, else moto's."""
    if os.environ.get("AWS_ENDPOINT_URL"):
        _make_bucket()
        yield dict(os.environ)
        return
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
        _make_bucket()
        yield variables
    finally:
        server.terminate()
        server.wait(timeout=30)


def _make_bucket() -> None:
    import boto3
    from botocore.config import Config

    boto3.client("s3", config=Config(s3={"addressing_style": "path"})).create_bucket(Bucket="covers")


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
        "store.put, one after the other": lambda uri: _put(open_store(uri), files),
        f"Uploads, {WRITERS} at once": lambda uri: _upload(open_store(uri), files),
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


def _put(store: ObjectStore, files: dict[str, Path]) -> None:
    for key, path in files.items():
        store.put(key, path.read_bytes())


def _upload(store: ObjectStore, files: dict[str, Path]) -> None:
    with Uploads(store) as uploads:
        for key, path in files.items():
            uploads.put(key, path.read_bytes())


def _sync(aws: str, folder: Path, uri: str) -> None:
    subprocess.run([aws, "s3", "sync", "--only-show-errors", str(folder), uri], check=True, capture_output=True)


def main() -> None:
    """Uploads, table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    server = "the server of AWS_ENDPOINT_URL" if os.environ.get("AWS_ENDPOINT_URL") else "a moto server"
    with tempfile.TemporaryDirectory() as folder:
        rows = write_part(Path(folder), arguments.files, arguments.rounds)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    text = "\n".join([f"| upload to {server} | median |", "|---|---|", *rows])
    text += f"\n\nLoad average at the end (1, 5, 15 minutes, this benchmark included): {load}."
    print(text)
    write_section("Publishing covers", text)


if __name__ == "__main__":
    main()
