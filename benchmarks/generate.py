"""Covers per second: the stage generate-covers beside the loop that one would write today, on the same pairs, models and seeds.

Run: ``python -m benchmarks.generate [--segments 64 --items 64 --covers 2048 --pairs 192 --blocks 6]``; writes RESULTS.md. Both
sides are measured in short blocks by turns, and the ratio is the median over blocks. Then the options (precision, batch, memory
layout) by turns, and a second day on which 5 % of the pairs changed. About eight minutes on two idle cores.
``--device cuda --shapes sd15|sdxl`` measures batches of random weights of those shapes there instead (generate_gpu.py).
"""

import argparse
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.generate_ground import DAY, NEXT, context_of, fill_day, plant, settings_for, with_settings
from benchmarks.generate_sides import Answer, Images, PipelinePerPair, Row, Share, Workers
from benchmarks.results import write_section
from icg_tasks.config.settings import Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.covers import generate, plan, publish
from icg_tasks.covers.shards import batch_order
from icg_tasks.lake.partitions import read_partition

OPTIONS = {
    "float32, 8 at once": {"precision": "float32", "cpu_batch_size": 8},
    "auto, 8 at once": {"precision": "auto", "cpu_batch_size": 8},
    "auto, 32 at once": {"precision": "auto", "cpu_batch_size": 32},
    "auto, 64 at once": {"precision": "auto", "cpu_batch_size": 64},
    "auto, 32 at once, weights in bfloat16": {"precision": "auto", "cpu_batch_size": 32, "half_weights": True},
    "auto, 32 at once, channels last": {"precision": "auto", "cpu_batch_size": 32, "channels_last": True},
}


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
            sections = [against_the_loop(words, settings, rows, workers), options(words, settings, rows, workers)]
        finally:
            workers.close()
    with tempfile.TemporaryDirectory() as folder:
        sections.append(second_day(Path(folder), words))
    write_section("Covers per second", "\n\n".join(sections))
    return 0


def arguments() -> argparse.Namespace:
    """Words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("segments", 64), ("items", 64), ("covers", 2048), ("pairs", 192), ("blocks", 6), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--option-covers", type=int, default=128, help="covers per option and round")
    parser.add_argument("--rounds", type=int, default=2, help="of the options")
    parser.add_argument("--day-segments", type=int, default=15, help="of the two days; with everybody one more")
    parser.add_argument("--day-items", type=int, default=80)
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
    workers.open("ours", settings)
    naive.draw(rows[0])
    workers.make("ours", rows[:1])
    ratios, loops, ours, share, largest, apart = [], [], [], Share(), [], []
    for block in range(words.blocks):
        mine = rows[block * per_block : (block + 1) * per_block]
        sampled = mine[:: max(1, len(mine) // pairs)][:pairs]
        began = time.perf_counter()
        theirs = {row["seed"]: naive.draw(row) for row in sampled}
        loops.append(len(sampled) / (time.perf_counter() - began))
        seconds, answers = workers.make("ours", mine, frozenset(theirs))
        ours.append(len(mine) / seconds)
        ratios.append(ours[-1] / loops[-1])
        for answer in answers:
            share.add(answer.share)
        largest.append(max(answer.largest_megabytes for answer in answers))
        apart += differences(theirs, answers)
        print(f"block {block}: loop {loops[-1]:.2f}, ours {ours[-1]:.2f} a second", file=sys.stderr, flush=True)
    middle = statistics.median
    drawing = share.drawing_processor / share.processor
    return (
        f"{len(rows)} of {words.segments} x {words.items} pairs, {words.blocks} blocks by turns; the loop drew {pairs} pairs "
        f"of each. Ours: {words.workers} processes of the stage's engine, which judges, checks and stores every image, too.\n\n"
        "| | covers a second, median (range) |\n| --- | --- |\n"
        f"| diffusers pipeline and language model per pair | {middle(loops):.2f} ({min(loops):.2f} to {max(loops):.2f}) |\n"
        f"| generate-covers | {middle(ours):.2f} ({min(ours):.2f} to {max(ours):.2f}) |\n"
        f"| times as fast | {middle(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}) |\n\n"
        f"Adapter, denoiser and autoencoder: {drawing:.1%} of the processor's time, {share.drawing_wall / share.wall:.1%} of "
        f"the clock's, in threads that overlap. Pixels differ by {np.mean(apart):.2f} of 255 on average, in the worst cover by "
        f"{max(apart):.2f}. Largest process after the first and the last block: {largest[0]:.0f} and {largest[-1]:.0f} MB."
    )


def differences(theirs: Images, answers: list[Answer]) -> list[float]:
    """Mean difference of each cover that both sides drew, in levels of 255."""
    found: Images = {}
    for answer in answers:
        found |= answer.images
    missing = set(theirs) - set(found)
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(theirs)} covers were rejected; the sides cannot be compared")
    return [float(np.abs(image.astype(np.int16) - found[name]).mean()) for name, image in theirs.items()]


def options(words: argparse.Namespace, settings: Settings, rows: list[Row], workers: Workers) -> str:
    """The same covers under every option, by turns."""
    rows = rows[: words.option_covers]
    rates: dict[str, list[float]] = {name: [] for name in OPTIONS}
    for name, changes in OPTIONS.items():
        workers.open(name, with_settings(settings, **dict(changes)))
    for _ in range(words.rounds):
        for name, found in rates.items():
            found.append(len(rows) / workers.make(name, rows)[0])
            print(f"{name}: {found[-1]:.2f} a second", file=sys.stderr, flush=True)
    lines = [f"| {name} | {statistics.median(found):.2f} |" for name, found in rates.items()]
    head = f"Options, {len(rows)} covers each, {words.rounds} rounds by turns:\n\n| option | covers a second |\n| --- | --- |\n"
    return head + "\n".join(lines)


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
