"""What `make demo` was asked for, checked before anything is started. Knows neither Airflow nor S3."""

import argparse
import hashlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.stages import generators_of

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent  # not resolved: the virtual environment's own folder
DEFAULT_DATE = date(2026, 3, 10)  # fixed, so that two people see the same day
DEFAULT_SEED = 7
NUM_DAYS = 10
_MIN_FREE_BYTES = 2 * 2**30
# Real readers of a few hundred books: fewer of everything, and a denoiser that first learns how these covers look.
_CLASSICS_SETTINGS = ("source=classics", "adapter.lora_steps=60")


class DemoFailed(Exception):
    """The demo cannot go on. ``advice`` says what to do about it, a line each."""

    def __init__(self, message: str, *advice: str) -> None:
        super().__init__(message)
        self.advice = advice


@dataclass(frozen=True, kw_only=True)
class Options:
    """One asked-for day. ``store`` is "folder" or "s3"; ``settings`` are section.field=value texts."""

    run_date: date
    seed: int
    store: str
    source: str
    data: Path | None
    home: Path
    settings: tuple[str, ...]
    fresh: bool
    generator: str = "icg"

    @property
    def world_name(self) -> str:
        """Name of the store below the demo's home: another seed or another world is another store.

        >>> read_options(["--seed", "9"]).world_name
        'store-seed-9'
        """
        name = "store" if self.source == "world" else f"store-{self.source}"
        if self.source == "world" and self.seed != DEFAULT_SEED:
            name += f"-seed-{self.seed}"
        if self.generator != "icg":
            name += f"-{self.generator.replace(',', '-')}"
        shape = sorted(text for text in self.settings if text.startswith("world.") and not text.startswith("world.seed="))
        return name + (f"-{hashlib.sha256(' '.join(shape).encode()).hexdigest()[:6]}" if shape else "")

    @property
    def all_settings(self) -> tuple[str, ...]:
        """What every stage is told: the world's seed or the source's settings, then the caller's own (last wins)."""
        base = (f"world.seed={self.seed}",) if self.source == "world" else _CLASSICS_SETTINGS
        return (*base, *self.settings)


def read_options(words: Sequence[str]) -> Options:
    """Options from the command line; exits with a usage message where a word makes no sense."""
    parser = argparse.ArgumentParser(prog="make demo", description="One whole day on this machine.")
    parser.add_argument("--date", type=date.fromisoformat, default=DEFAULT_DATE, help="run date, YYYY-MM-DD")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="seed of the embedded world")
    parser.add_argument("--store", choices=["folder", "s3"], default="folder", help="where the data sets go")
    parser.add_argument("--source", choices=["world", "classics"], default="world", help="what the platform's logs are")
    parser.add_argument("--data", type=Path, help="folder of the outside data (with --source classics)")
    parser.add_argument("--home", type=Path, default=REPOSITORY / ".demo", help="folder for everything that the demo makes")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="section.field=value")
    parser.add_argument("--generator", type=_generators, default="icg", help="what makes the covers: icg | pigeon | icg,pigeon")
    parser.add_argument("--fresh", action="store_true", help="run every stage, also those whose inputs did not change")
    given = parser.parse_args(words)
    return Options(
        run_date=given.date,
        seed=given.seed,
        store=given.store,
        source=given.source,
        data=given.data.absolute() if given.data else None,
        home=given.home.absolute(),
        settings=tuple(word for text in given.settings for word in text.split()),
        fresh=given.fresh,
        generator=given.generator,
    )


def _generators(text: str) -> str:
    """The text, where it names generators; argparse tells what is wrong with it otherwise."""
    try:
        return ",".join(generators_of(text))
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def check_options(options: Options) -> None:
    """Raises DemoFailed for what would fail minutes later."""
    if options.source == "classics":
        if options.data is None:
            raise DemoFailed(
                "SOURCE=classics needs the folder of the data.", "make demo SOURCE=classics DATA=/path/to/classics"
            )
        if not (options.data / "interactions.parquet").is_file():
            raise DemoFailed(
                f"{options.data} holds no interactions.parquet.", "DATA must be the folder with the classics' README.md"
            )
    elif options.data is not None:
        raise DemoFailed("DATA was given without SOURCE.", f"make demo SOURCE=classics DATA={options.data}")
    malformed = [text for text in options.settings if "=" not in text or "." not in text.partition("=")[0]]
    if malformed:
        raise DemoFailed(
            f"SET has {malformed[0]!r}; expected section.field=value.", 'make demo SET="covers.items_per_segment=12"'
        )
    options.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(options.home).free
    if free < _MIN_FREE_BYTES:
        raise DemoFailed(
            f"only {free / 2**30:.1f} GiB free at {options.home}; a day needs about 2.", "make clean, or free some disk"
        )
    for command in ("airflow", "icg", "spark-submit"):
        if not (TOOLS / command).exists():
            raise DemoFailed(f"no `{command}` in {TOOLS}.", "start the demo as `make demo`, which installs what it needs")
    if not (TOOLS.parent / "icg-java").exists() and shutil.which("java") is None:
        raise DemoFailed("no Java runtime was found, and Spark needs one.", "start the demo as `make demo`, which fetches one")
