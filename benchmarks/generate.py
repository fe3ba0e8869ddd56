"""Covers per second: the stage generate-covers beside the loop that one would write today, on the same pairs, models and seeds.

Run: ``python -m benchmarks.generate [--segments 64 --items 64 --covers 1536 --pairs 192 --blocks 6]``; writes RESULTS.md. Loop
and engine are measured in short blocks by turns; ratios, by the clock and of processor seconds, are medians over blocks. Then
the options (precision, batch, layers, memory layout, compiler) by turns, and a second day on which 5 % of the pairs changed.
About six minutes on two idle cores. ``--device cuda --shapes sd15|sdxl`` measures batches of random weights of those shapes
there instead (generate_gpu.py).
"""

import argparse
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import generate_limit
from benchmarks.generate_blocks import one_block, table
from benchmarks.generate_ground import DAY, NEXT, context_of, fill_day, plant, settings_for, with_settings
from benchmarks.generate_sides import PipelinePerPair, Row, Workers
from benchmarks.results import write_section
from icg_tasks.config.settings import Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.covers import generate, plan, publish
from icg_tasks.covers.shards import batch_order
from icg_tasks.lake.partitions import read_partition

OURS = {"cpu_batch_size": 32}
"""What the engine beside the loop is told; all else as it comes."""
PLAIN = {"lean_layers": False}
OPTIONS: dict[str, dict[str, Any]] = {
    "float32, layers as they come, 8 at once": PLAIN | {"precision": "float32", "cpu_batch_size": 8},
    "layers as they come, 8 at once": PLAIN | {"cpu_batch_size": 8},
    "layers as they come, 32 at once": PLAIN | {"cpu_batch_size": 32},
    "8 at once": {"cpu_batch_size": 8},
    "32 at once": OURS,
    "64 at once": {"cpu_batch_size": 64},
    "32 at once, weights in bfloat16": OURS | {"half_weights": True},
    "32 at once, channels last": OURS | {"channels_last": True},
    "32 at once, float32": OURS | {"precision": "float32"},
    "32 at once, float32, ONNX Runtime": OURS | {"runtime": "onnx"},
    "32 at once, compiled": OURS | {"compile": True},
}
"""Products in bfloat16 and lean layers unless something else is said."""


def main() -> int:
    """Measure and write the section."""
    words = arguments()
    if words.device == "cuda" or words.shapes != "tiny":
        from benchmarks.generate_gpu import measure

        write_section(f"Denoising in batches, {words.shapes} shapes on {words.device}", measure(words))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_for(Path(folder), words.segments, words.items, ())
        plant(settings, words.segments, words.items)
        plan.run(context_of(settings, "plan-covers"))
        rows = read_partition(context_of(settings, "plan-covers").store, keys.COVER_PLANS, DAY).to_pylist()
        rows = sorted((row for row in rows if row["segment_id"] != "_all"), key=batch_order)
        workers = Workers(words.workers)
        try:
            sections = [against_the_loop(words, settings, rows, workers)]
            if words.rounds:
                sections.append(options(words, settings, rows, workers))
        finally:
            workers.close()
    with tempfile.TemporaryDirectory() as folder:
        sections.append(second_day(Path(folder), words))
    write_section("Covers per second", "\n\n".join(sections))
    return 0


def arguments() -> argparse.Namespace:
    """Words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("segments", 64), ("items", 64), ("covers", 1536), ("pairs", 192), ("blocks", 6), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--option-covers", type=int, default=128, help="covers per option and round")
    parser.add_argument("--rounds", type=int, default=2, help="of the options; 0: without them")
    parser.add_argument("--skip-compiled", action="store_true", help="leave out the option that needs a C++ compiler")
    parser.add_argument("--day-segments", type=int, default=12, help="of the two days; with everybody one more")
    parser.add_argument("--day-items", type=int, default=60)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--shapes", default="tiny", choices=["tiny", "small", "sd15", "sdxl"])
    parser.add_argument("--batch", type=int, default=16, help="images at once on a GPU")
    parser.add_argument("--steps", type=int, default=20, help="on a GPU")
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="of the GPU in bfloat16, for its utilisation")
    return parser.parse_args()


def against_the_loop(words: argparse.Namespace, settings: Settings, rows: list[Row], workers: Workers) -> str:
    """Both sides by turns, block by block."""
    rows = rows[: words.covers]
    per_block, pairs = len(rows) // words.blocks, words.pairs // words.blocks
    naive = PipelinePerPair(settings)
    workers.open("ours", with_settings(settings, **OURS))
    naive.draw(rows[0])
    workers.make("ours", rows[: words.workers])
    blocks, apart = [], []
    for number in range(words.blocks):
        mine = rows[number * per_block : (number + 1) * per_block]
        block, found = one_block(naive, workers, mine, mine[:: max(1, len(mine) // pairs)][:pairs])
        blocks.append(block)
        apart += found
        print(f"block {number}: loop {block.loop:.2f}, ours {block.ours:.2f} a second", file=sys.stderr, flush=True)
    head = (
        f"{len(rows)} of {words.segments} x {words.items} pairs, {words.blocks} blocks by turns; the loop drew {pairs} pairs "
        f"of each with default threads. Ours: {words.workers} processes of the stage's engine with {OURS}, which judges, "
        "checks and stores every image, too.\n\n"
    )
    return head + table(blocks, generate_limit.measure(settings), apart, words.workers)


def options(words: argparse.Namespace, settings: Settings, rows: list[Row], workers: Workers) -> str:
    """The same covers under every option, by turns; the first batch of each, which may compile, told apart."""
    rows = rows[: words.option_covers]
    tried = {name: how for name, how in OPTIONS.items() if not (words.skip_compiled and how.get("compile"))}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in tried}
    first = {}
    for name, changes in tried.items():
        workers.open(name, with_settings(settings, **dict(changes)))
        first[name] = workers.make(name, rows[: words.workers])[0]
    for _ in range(words.rounds):
        for name, found in rates.items():
            seconds, answers = workers.make(name, rows)
            found.append((len(rows) / seconds, sum(answer.share.processor for answer in answers) / len(rows)))
            print(f"{name}: {found[-1][0]:.2f} a second", file=sys.stderr, flush=True)
    middle = statistics.median
    lines = [
        f"| {name} | {middle(rate for rate, _ in found):.2f} | {middle(cost for _, cost in found):.4f} | {first[name]:.1f} |"
        for name, found in rates.items()
    ]
    return (
        f"Options, {len(rows)} covers each, {words.rounds} rounds by turns; products in bfloat16 and lean layers unless said "
        "otherwise:\n\n| option | covers a second | processor seconds a cover | seconds of the first batch |\n"
        "| --- | --- | --- | --- |\n" + "\n".join(lines)
    )


def second_day(folder: Path, words: argparse.Namespace) -> str:
    """A whole day of covers, and one on which 5 % of the items changed, through plan, generate and publish, in one process."""
    items, changed = words.day_items, max(1, round(0.05 * words.day_items))
    settings = settings_for(folder, words.day_segments, items)
    plant(settings, words.day_segments, items)
    first = day(settings, DAY)
    fill_day(context_of(settings, "plan").store, NEXT, words.day_segments, items, changed=changed)
    second = day(settings, NEXT)
    again = {name: second[name] / first[name] for name in first}
    return (
        f"A day of {first['covers']:.0f} covers, and the next one with {changed} of {items} items changed "
        f"({second['covers']:.0f} covers to make, {again['covers']:.1%}):\n\n| seconds | first day | second day | share |\n"
        "| --- | --- | --- | --- |\n"
        f"| making covers | {first['making']:.1f} | {second['making']:.1f} | {again['making']:.1%} |\n"
        f"| plan, load models, make, publish | {first['all']:.1f} | {second['all']:.1f} | {again['all']:.1%} |"
    )


def day(settings: Settings, run_date: date) -> dict[str, float]:
    """Covers made, seconds of making, seconds of everything."""
    began, made, making = time.perf_counter(), 0, 0.0
    outcome = plan.run(context_of(settings, "plan-covers", run_date))
    for shard in outcome.figures["shards"]:
        counts = generate.run(context_of(settings, "generate-covers", run_date, shard=shard))
        made += counts.counts["made"]
        making += counts.counts["made"] * counts.figures["seconds_per_cover"]
    publish.run(context_of(settings, "publish-covers", run_date))
    return {"covers": float(made), "making": making, "all": time.perf_counter() - began}


if __name__ == "__main__":
    sys.exit(main())
