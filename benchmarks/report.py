"""How soon a report page with thousands of covers shows its first picture, in a headless Chromium.

Run: ``python -m benchmarks.report [--covers 10000] [--rounds 5]``; writes RESULTS.md. A store with that many covers (real WebP
files of the embedded world's drawings) is reported by the stage itself, served over HTTP from its folder, and opened with an
empty cache. ``--keep FOLDER`` keeps the store for the next time. Needs Debian's ``chromium``.
"""

import argparse
import hashlib
import http.server
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks.chromium import Chromium
from benchmarks.results import write_section
from icg_tasks.config import load_settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.covers.checks import encode_webp
from icg_tasks.evaluation.report import run
from icg_tasks.lake.partitions import find_partition, write_partition
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.stage import StageContext
from icg_tasks.world.attributes import CoverAttributes, all_looks
from icg_tasks.world.days import cast_of
from icg_tasks.world.drawing import draw_cover

DAY = date(2026, 3, 10)
SEGMENTS, SIDE = 20, 128
SLOW = {"offline": False, "latency": 40, "downloadThroughput": 2_500_000, "uploadThroughput": 2_500_000}
# Notes when the first picture has been painted, and how many have been loaded.
_WATCH = """
globalThis.seen = {first: 0, count: 0};
document.addEventListener("load", (event) => {
  if (event.target.tagName !== "IMG") return;
  seen.count += 1;
  if (!seen.first) requestAnimationFrame(() => requestAnimationFrame(() => { seen.first ||= performance.now(); }));
}, true);
"""


def make_store(store: ObjectStore, covers: int) -> None:
    """Items, segments and so many published covers of the day; nothing is done where they are there already."""
    if find_partition(store, keys.COVER_MANIFESTS, DAY) is not None:
        return
    settings = load_settings("tiny", [f"world.num_items={covers // SEGMENTS}"])
    items = cast_of(settings.world, DAY).shelf.items[: covers // SEGMENTS]
    looks, rows = all_looks(), []
    for item in items:
        store.put(f"{keys.IMAGES_RAW}/{item.image_name}", encode_webp(_enlarged(item.draw()), 80))
    for number in range(-1, SEGMENTS):
        segment = schemas.EVERYONE if number < 0 else f"s{number:03d}"
        look = looks[(37 * number + 5) % len(looks)]
        for place, item in enumerate(items):
            attributes = CoverAttributes(subject=item.attributes.subject, look=look)
            data = encode_webp(_enlarged(draw_cover(attributes, seed=1000 * (number + 1) + place)), 80)
            cover_id = hashlib.sha256(data).hexdigest()
            store.put(keys.blob_key(cover_id), data)
            scores = np.random.default_rng([number + 1, place]).normal(size=3)
            rows.append(_manifest_row(segment, item.item_id, cover_id, scores.tolist()))
    _write_items(store, items)
    _write_segments(store, [item.item_id for item in items])
    _write(store, keys.COVER_MANIFESTS, rows, schemas.COVER_MANIFEST)


def _enlarged(image_HWC: Any) -> Any:
    return np.asarray(Image.fromarray(np.asarray(image_HWC)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _manifest_row(segment: str, item: str, cover_id: str, scores: list[float]) -> dict[str, Any]:
    row = dict.fromkeys(schemas.COVER_MANIFEST.names, "") | {"segment_id": segment, "item_id": item, "variant": 0}
    row |= {"cover_id": cover_id, "blob": keys.blob_key(cover_id), "seed": 1, "width": SIDE, "height": SIDE}
    named = dict(zip(("preference", "relevance", "aesthetic"), scores, strict=True))
    return row | named | {"generator": "icg", "made_on": DAY.isoformat()}


def _write_items(store: ObjectStore, items: Any) -> None:
    rows = [
        dict.fromkeys(schemas.ITEMS.names, "")
        | {"item_id": item.item_id, "title": item.title, "category": item.category, "content_hash": item.item_id}
        | {"reference_image": f"{keys.IMAGES_RAW}/{item.image_name}", "updated_at": None}
        for item in items
    ]
    _write(store, keys.ITEMS, rows, schemas.ITEMS)


def _write_segments(store: ObjectStore, items: list[str]) -> None:
    rows = []
    for number in range(SEGMENTS):
        order = np.random.default_rng(number).permutation(items).tolist()
        row = {"segment_id": f"s{number:03d}", "size": 1000, "centroid": [0.0], "history": order[:8], "top_items": order}
        rows.append(row | {"expected_traffic": 1000.0 - number, "rank": number, "matched_from": None, "drift": None})
    _write(store, keys.SEGMENTS, rows, schemas.SEGMENTS)


def _write(store: ObjectStore, dataset: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    write_partition(store, dataset, DAY, [pa.Table.from_pylist(rows, schema=schema)], schema=schema)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder over HTTP on this machine; yields its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def seconds_to_picture(address: str, *, slow: bool) -> tuple[float, int]:
    """Seconds from going to an address to the first painted picture, in a new browser; and pictures loaded a second later."""
    with Chromium() as browser:
        browser.send("Network.enable")
        browser.send("Network.setCacheDisabled", cacheDisabled=True)
        if slow:
            browser.send("Network.emulateNetworkConditions", **SLOW)
        browser.send("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        browser.open(address)
        first = browser.wait_for("globalThis.seen && seen.first")
        time.sleep(1.0)
        return float(first) / 1000.0, int(browser.value("seen.count"))


def main() -> None:
    """Make or find the store, report it, open its pages, write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--covers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (asked.keep or Path(scratch) / "store").absolute()
        store = open_store(str(folder))
        make_store(store, asked.covers)
        settings = load_settings("tiny", [f"features.num_top_segments={SEGMENTS}", f"work_folder={scratch}/work"])
        began = time.process_time()
        outcome = run(StageContext(stage="report", run_date=DAY, settings=settings, store=store))
        stage_seconds = time.process_time() - began
        prefix = keys.partition_prefix(keys.REPORTS, DAY)
        lines = ["| page | bytes | connection | seconds to the first picture, median (range) | pictures a second later |"]
        lines.append("|---|---|---|---|---|")
        with served(folder) as root:
            for name in ("index.html", "covers.html"):
                for slow in (False, True):
                    found = [seconds_to_picture(f"{root}/{prefix}/{name}", slow=slow) for _ in range(asked.rounds)]
                    times, size = [seconds for seconds, _ in found], store.size(f"{prefix}/{name}")
                    told = f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})"
                    way = "20 Mbit/s, 40 ms" if slow else "this machine"
                    lines.append(f"| {name} | {size:,} | {way} | {told} | {found[-1][1]} |")
        listed = f"{outcome.counts['covers_listed']:,} covers listed; covers.js {store.size(f'{prefix}/covers.js'):,} bytes, "
        stage = (
            f"read behind the first picture. The stage took {stage_seconds:.1f} processor seconds. Empty cache, new browser."
        )
        write_section("The report page", "\n".join(lines) + f"\n\n{listed}{stage}\n")
        print("\n".join(lines))


if __name__ == "__main__":
    main()
