"""The two sides of benchmarks/generate.py: the loop that one would write today, and ours in one process per core.

Both read the item with the language model, turn it and the segment into a conditioning with the adapter, draw, and write WebP.
Ours also judges and checks every image and stores it; the loop does not.
"""

import contextlib
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.generate_ground import context_of
from icg_tasks.config.settings import Settings
from icg_tasks.covers.asked import Unmade

if TYPE_CHECKING:
    from icg_tasks.covers.engine import CoverEngine

Row = dict[str, Any]
Images = dict[int, NDArray[np.uint8]]
"""By seed."""


class PipelinePerPair:
    """diffusers' own pipeline in float32 with default threads; every pair reads its item anew."""

    def __init__(self, settings: Settings) -> None:
        import torch
        from diffusers import StableDiffusionXLPipeline
        from diffusers.utils.logging import disable_progress_bar

        from icg_tasks.backbones.denoisers.table import open_denoiser
        from icg_tasks.backbones.device import Compute, choose_compute
        from icg_tasks.backbones.language.table import open_language_model
        from icg_tasks.backbones.locate import resolve_checkpoint
        from icg_tasks.covers.orders import Orders
        from icg_tasks.lake.registry import fetch_version, require_champion
        from icg_tasks.models.icg.adapter import KIND, IcgAdapter

        context = context_of(settings, "generate-covers")
        self._covers, self._orders = settings.covers, Orders(context)
        self._language = open_language_model(settings.backbones, choose_compute(settings.backbones))
        folder = fetch_version(context.store, require_champion(context.store, KIND, context.run_date), context.scratch("naive"))
        self._adapter = IcgAdapter.load(folder).eval()
        disable_progress_bar()
        self._pipeline = StableDiffusionXLPipeline.from_pretrained(
            resolve_checkpoint(settings.backbones.denoiser), dtype=torch.float32, local_files_only=True
        )
        self._pipeline.set_progress_bar_config(disable=True)
        whole = Compute(device=torch.device("cpu"), bfloat16=False)
        self._untold = open_denoiser(settings, whole).unconditional()  # the shipped denoiser learned last states, not SDXL's

    def draw(self, row: Row) -> NDArray[np.uint8]:
        """One cover (H, W, 3)."""
        import io

        import torch
        from PIL import Image

        from icg_tasks.covers.requests import candidate_seed

        request = self._orders.requests([row])[0]
        with torch.no_grad():
            image = Image.open(io.BytesIO(request.image_bytes)).convert("RGB")
            reading = self._language.read([request.title], [image], self._adapter.config.num_meta_tokens)
            users = None if request.user_vector is None else torch.from_numpy(request.user_vector)[None]
            told = self._adapter(self._language.states(reading, self._adapter.meta_tokens), users)
            drawn = self._pipeline(
                prompt_embeds=told.sequence,
                pooled_prompt_embeds=told.pooled,
                negative_prompt_embeds=self._untold.sequence,
                negative_pooled_prompt_embeds=self._untold.pooled,
                num_inference_steps=self._covers.steps,
                guidance_scale=self._covers.guidance,
                height=self._covers.size_pixels,
                width=self._covers.size_pixels,
                generator=torch.Generator().manual_seed(candidate_seed(request.seed, 0)),
            ).images[0]
        drawn.save(io.BytesIO(), format="WEBP", quality=self._covers.webp_quality)
        return np.asarray(drawn)


@dataclass
class Share:
    """Seconds of a worker: all of it, denoiser and autoencoder; by the clock and of the processor."""

    wall: float = 0.0
    processor: float = 0.0
    drawing_wall: float = 0.0
    drawing_processor: float = 0.0

    def add(self, other: "Share") -> None:
        """Sum up."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Answer:
    """What a worker made of its rows."""

    share: Share = field(default_factory=Share)
    images: Images = field(default_factory=dict)
    largest_megabytes: float = 0.0


class Workers:
    """Processes with the stage's own engine, as shards of a day run side by side."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes = [context.Pipe() for _ in range(count)]
        self._processes = [context.Process(target=_serve, args=(far,), daemon=True) for _, far in self._pipes]
        for process in self._processes:
            process.start()

    def open(self, name: str, settings: Settings) -> None:
        """Load an engine in every worker; waits for it."""
        self._all([("open", name, settings)] * len(self._pipes))

    def make(self, name: str, rows: list[Row], wanted: frozenset[int] = frozenset()) -> tuple[float, list[Answer]]:
        """Rows shared out in one order; wall seconds until all are stored, and every worker's answer."""
        size = -(-len(rows) // len(self._pipes))
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        began = time.perf_counter()
        answers = self._all([("make", name, part, wanted) for part in parts])
        return time.perf_counter() - began, answers

    def close(self) -> None:
        """End the processes."""
        for near, _ in self._pipes:
            near.send(None)
        for process in self._processes:
            process.join()

    def _all(self, questions: list[Any]) -> list[Any]:
        for (near, _), question in zip(self._pipes, questions, strict=False):
            near.send(question)
        return [near.recv() for (near, _), _ in zip(self._pipes, questions, strict=False)]


def _serve(pipe: Any) -> None:
    """A worker: engines by name, and rows to make with one of them."""
    from icg_tasks.covers.engine import CoverEngine

    engines: dict[str, tuple[Settings, CoverEngine]] = {}
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 -- progress of a stage, here for nobody
    while (question := pipe.recv()) is not None:
        if question[0] == "open":
            _, name, settings = question
            settings = replace(settings, work_folder=f"{settings.work_folder}/{os.getpid()}")
            engines[name] = settings, CoverEngine.load(context_of(settings, "generate-covers"))
            pipe.send(None)
        else:
            _, name, rows, wanted = question
            pipe.send(_made(*engines[name], rows, wanted))


class _Watched:
    """An engine whose images of some seeds are kept."""

    def __init__(self, engine: "CoverEngine", wanted: frozenset[int]) -> None:
        self._engine, self._wanted = engine, wanted
        self.versions = engine.versions
        self.images: Images = {}

    def make(self, batches: Iterable[Any]) -> Generator[list[Any], None, None]:
        """What the engine makes."""
        for covers in self._engine.make(batches):
            made = [cover for cover in covers if not isinstance(cover, Unmade)]
            self.images |= {cover.seed: cover.image for cover in made if cover.seed in self._wanted}
            yield covers


def _made(settings: Settings, engine: "CoverEngine", rows: list[Row], wanted: frozenset[int]) -> Answer:
    from icg_tasks.covers.generate import finished_rows, whole_batches

    context, share, drawer = context_of(settings, "generate-covers", shard=0), Share(), engine._drawer
    watched: Any = _Watched(engine, wanted)
    with _timed(drawer, "draw", share), _timed(drawer, "develop", share):
        wall, processor = time.perf_counter(), time.process_time()
        for _ in finished_rows(context, watched, whole_batches(context, rows)):
            pass
        share.wall, share.processor = time.perf_counter() - wall, time.process_time() - processor
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Answer(share=share, images=watched.images, largest_megabytes=largest)


@contextlib.contextmanager
def _timed(drawer: Any, name: str, share: Share) -> Iterator[None]:
    """Adds the seconds of a method to the share."""
    original = getattr(drawer, name)

    def timed(*words: Any, **more: Any) -> Any:
        wall, processor = time.perf_counter(), time.thread_time()
        try:
            return original(*words, **more)
        finally:
            share.drawing_wall += time.perf_counter() - wall
            share.drawing_processor += time.thread_time() - processor

    setattr(drawer, name, timed)
    try:
        yield
    finally:
        setattr(drawer, name, original)
