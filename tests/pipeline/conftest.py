"""A small but whole day: the real stages, the shipped tiny stack, a few hundred users. And, for slow tests, the demo."""

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from icg_tasks.cli import main
from icg_tasks.contracts.stages import GENERATE_COVERS, ICG, PLAN_COVERS, day_in_order
from icg_tasks.lake.store import ObjectStore, open_store
from tests.pipeline.touched import Touched, touching

REPOSITORY = Path(__file__).resolve().parents[2]
DAY = date(2026, 3, 10)
SMALL_WORLD = (
    "world.num_users=500",
    "world.num_items=60",
    "world.new_items_per_day=1",
    "world.new_users_per_day=5",
    "world.impressions_per_day=4000",
)
SMALL_WORK = (
    "features.num_segments=4",
    "features.min_segment_users=20",
    "features.num_top_segments=2",
    "preference.epochs=1",
    "preference.bootstrap_samples=20",
    "adapter.reward_steps=2",
    "adapter.search_tastes=8",
    "adapter.search_steps=2",
    "adapter.batch_size=4",
    "adapter.checkpoint_every=1",
    "adapter.evaluate_every=2",
    "covers.items_per_segment=4",
    "covers.candidates=2",
    "covers.steps=4",
    "covers.shard_size=6",
    "evaluation.num_segments=2",
    "evaluation.items_per_segment=3",
    "evaluation.best_of=2",
    "evaluation.catalogue_covers=24",
    "evaluation.bootstrap_samples=50",
    "spark.shuffle_partitions=2",
    "spark.master=local[2]",
)


@dataclass(frozen=True)
class SmallWorld:
    """A store and the words that lead every stage to it; ``touched``: keys that stages have read, written and deleted."""

    uri: str
    work: Path
    settings: Sequence[str] = (*SMALL_WORLD, *SMALL_WORK)
    touched: dict[str, Touched] = field(default_factory=dict)

    @property
    def store(self) -> ObjectStore:
        """The store itself."""
        return open_store(self.uri)

    def icg(self, stage: str, day: date = DAY, *more: str) -> tuple[int, dict[str, Any] | None, str]:
        """Run one stage in this process: exit code, closing line, and what it said on stderr."""
        words = [stage, "--run-date", day.isoformat(), "--set", f"store={self.uri}", "--set", f"work_folder={self.work}"]
        words += [word for text in self.settings for word in ("--set", text)]
        output, said = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(said), touching() as touched:
                code = main([*words, *more])
            self.touched[stage] = self.touched.get(stage, Touched()) | touched
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        lines = output.getvalue().splitlines()
        return code, json.loads(lines[-1]) if code == 0 else None, said.getvalue()

    def done(self, stage: str, day: date = DAY, *more: str) -> dict[str, Any]:
        """Like ``icg``; the closing line of a stage that must end well."""
        code, line, said = self.icg(stage, day, *more)
        assert code == 0, f"{stage} for {day}: exit code {code}\n{said[-3000:]}"
        assert line is not None
        return line

    def whole_day(self, day: date = DAY, generator: str = ICG) -> dict[str, dict[str, Any]]:
        """Every stage of a day with these generators, in order; closing lines by stage."""
        lines: dict[str, dict[str, Any]] = {}
        for stage in day_in_order(generator):
            if stage == GENERATE_COVERS:
                for shard in lines[PLAN_COVERS]["figures"]["shards"]:
                    lines[stage] = self.done(stage, day, "--shard", str(shard))
            else:
                lines[stage] = self.done(stage, day)
        return lines

    def objects(self, *prefixes: str) -> dict[str, bytes]:
        """Bytes of everything below these prefixes."""
        return {key: self.store.get(key) for prefix in prefixes for key in self.store.list(prefix)}


def simulated(uri: str, work: Path, days: int = 3, more: Sequence[str] = ()) -> SmallWorld:
    """A small world with that many days of raw logs."""
    world = SmallWorld(uri, work, (*SMALL_WORLD, *SMALL_WORK, *more))
    world.done("simulate", DAY, "--days", str(days))
    return world


@pytest.fixture(scope="module")
def ended_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallWorld, dict[str, dict[str, Any]]]:
    """A world after its first whole day, and the closing lines. Shared: do not change what it wrote for that day."""
    folder = tmp_path_factory.mktemp("small")
    world = simulated(str(folder / "store"), folder / "work")
    return world, world.whole_day()


@dataclass(frozen=True)
class Demo:
    """`make demo` without its set-up, in a home of its own."""

    home: Path

    def command(self, *words: str) -> list[str]:
        """The words of the command: a small world, then the caller's own."""
        settings = [word for text in (*SMALL_WORLD, *SMALL_WORK) for word in ("--set", text)]
        return [sys.executable, "-m", "infra.demo", "--home", str(self.home), *settings, *words]

    def run(self, *words: str, expect: int = 0) -> str:
        """Run it to its end; everything it said."""
        done = subprocess.run(
            self.command(*words), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=3600,
        )  # fmt: skip
        assert done.returncode == expect, done.stdout[-6000:]
        return done.stdout

    def store(self) -> ObjectStore:
        """The store of the small world of the last run (there is one per world in a home)."""
        found = [path for path in self.home.glob("store*") if path.is_dir()]
        assert len(found) == 1, found
        return open_store(str(found[0]))


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo's empty home; afterwards nothing that it started may be left."""
    import psutil

    yield Demo(tmp_path / "demo")
    mark = str(tmp_path / "demo")
    left = [
        process.info for process in psutil.process_iter(["pid", "cmdline"]) if mark in " ".join(process.info["cmdline"] or [])
    ]
    assert left == []
