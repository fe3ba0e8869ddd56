"""One block of benchmarks/generate.py, first the loop, then the engine on the same covers and more; and what all blocks say."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.generate_limit import Limit
from benchmarks.generate_sides import Answer, Images, PipelinePerPair, Row, Share, Workers


@dataclass(frozen=True, kw_only=True)
class Block:
    """Covers a second by the clock, processor seconds a cover, of loop and engine; the engine's share; its largest process."""

    loop: float
    loop_processor: float
    ours: float
    ours_processor: float
    share: Share
    megabytes: float


def one_block(naive: PipelinePerPair, workers: Workers, mine: list[Row], sampled: list[Row]) -> tuple[Block, list[float]]:
    """``sampled`` by the loop, ``mine`` by the engine; mean differences of the pixels of what both drew."""
    wall, processor = time.perf_counter(), time.process_time()
    theirs = {row["seed"]: naive.draw(row) for row in sampled}
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    seconds, answers = workers.make("ours", mine, frozenset(theirs))
    share = Share()
    for answer in answers:
        share.add(answer.share)
    block = Block(
        loop=len(sampled) / wall,
        loop_processor=processor / len(sampled),
        ours=len(mine) / seconds,
        ours_processor=share.processor / len(mine),
        share=share,
        megabytes=max(answer.largest_megabytes for answer in answers),
    )
    return block, differences(theirs, answers)


def differences(theirs: Images, answers: list[Answer]) -> list[float]:
    """Mean difference of each cover that both sides drew, in levels of 255."""
    found: Images = {}
    for answer in answers:
        found |= answer.images
    missing = set(theirs) - set(found)
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(theirs)} covers were rejected; the sides cannot be compared")
    return [float(np.abs(image.astype(np.int16) - found[name]).mean()) for name, image in theirs.items()]


def table(blocks: list[Block], limit: Limit, apart: list[float], workers: int) -> str:
    """Rates, ratios, what the arithmetic alone would allow, and how alike the covers are."""
    share = Share()
    for block in blocks:
        share.add(block.share)
    drawing = share.drawing_processor / share.processor
    best = limit.covers(workers, "bfloat16")
    loop = statistics.median(block.loop for block in blocks)
    rates = ", ".join(f"{rate:.0f} in {name}" for name, rate in limit.per_second.items())
    return (
        "| median (range) | covers a second | processor seconds a cover |\n| --- | --- | --- |\n"
        f"| diffusers pipeline and language model per pair | {_range(blocks, lambda one: one.loop)} "
        f"| {_range(blocks, lambda one: one.loop_processor, 3)} |\n"
        f"| generate-covers | {_range(blocks, lambda one: one.ours)} | {_range(blocks, lambda one: one.ours_processor, 3)} |\n"
        f"| times as good | {_range(blocks, lambda one: one.ours / one.loop)} "
        f"| {_range(blocks, lambda one: one.loop_processor / one.ours_processor)} |\n\n"
        f"Adapter, denoiser and autoencoder: {drawing:.1%} of the processor's time, {share.drawing_wall / share.wall:.1%} of "
        f"the clock's, in threads that overlap. Pixels differ by {np.mean(apart):.2f} of 255 on average, in the worst cover by "
        f"{max(apart):.2f}. Largest process after the first and the last block: {blocks[0].megabytes:.0f} and "
        f"{blocks[-1].megabytes:.0f} MB.\n\n"
        f"A cover's products and convolutions are {limit.per_cover:.1f} billion operations; one thread does {rates} billion a "
        f"second in large products. {workers} cores that did nothing else would draw {best:.1f} covers a second, "
        f"{best / loop:.1f} times the loop."
    )


def _range(blocks: list[Block], figure: Callable[[Block], float], digits: int = 2) -> str:
    found = [figure(block) for block in blocks]
    return f"{statistics.median(found):.{digits}f} ({min(found):.{digits}f} to {max(found):.{digits}f})"
