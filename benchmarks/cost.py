"""What a day comes to on other scales, from the unit costs that RESULTS.md holds. Knows its tables and arithmetic, no stage.

Run: ``python -m benchmarks.cost`` prints the tables of docs/cost.md; ``--write`` puts them there; ``--core-hour 0.04`` is a
price, ``--churn 0.1`` the share of pairs that are new on a day. A stage's seconds hold its start too (a JVM, imports), and
count for all cores it could have used, so a unit cost is an upper bound on large scales. Nothing is said of what was not
measured.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "cost.md"
BEGIN, END = "<!-- measured: python -m benchmarks.cost --write -->", "<!-- end of measured -->"
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One platform on one day. ``pairs``: (segment, item) with a cover; ``new_rows``: impressions that arrive."""

    name: str
    users: int
    items: int
    new_items: int
    new_rows: int
    pairs: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage's unit: what it grows with, and how many of it the measured day had. ``unit`` None = the same on all scales."""

    name: str
    unit: str | None
    measured: float
    cores: int = 2  # it could have used; mapped tasks count one each
    note: str = ""


# What the measured day had: the first of an empty store, so ten days of logs of the tiny profile (settings world.*) at once.
DAYS, ROWS_A_DAY, ITEMS, USERS, COVERS = 10, 100_000, 724, 20_000, 346
STAGES = (
    Stage(name="validate-items", unit="items", measured=DAYS * ITEMS),
    Stage(name="validate-impressions", unit="new_rows", measured=DAYS * ROWS_A_DAY),
    Stage(name="embed-items", unit="new_items", measured=ITEMS, note="tiny encoder"),
    Stage(name="build-user-embeddings", unit="new_rows", measured=DAYS * ROWS_A_DAY),
    Stage(name="assign-segments", unit="users", measured=USERS),
    Stage(name="train-preference", unit=None, measured=1, note="bounded by preference.max_rows"),
    Stage(name="adapt-denoiser", unit=None, measured=1, note="fixed steps, tiny denoiser"),
    Stage(name="train-adapter", unit=None, measured=1, note="fixed steps, tiny denoiser"),
    Stage(name="plan-covers", unit="pairs", measured=COVERS),
    Stage(
        name="generate-covers",
        unit="new_pairs",
        measured=COVERS,
        cores=1,
        note="tiny denoiser, 64 px, four candidates of eight steps",
    ),
    Stage(name="publish-covers", unit="pairs", measured=COVERS),
)
SCALES = (
    Scale(name="demo", users=20_000, items=724, new_items=8, new_rows=100_000, pairs=346),
    Scale(name="1 M users, 10,000 items", users=10**6, items=10**4, new_items=100, new_rows=10**7, pairs=32_000),
    Scale(name="100 M users, 1 M items", users=10**8, items=10**6, new_items=10**4, new_rows=10**9, pairs=128_000),
)


def section(title: str, text: str) -> str:
    """The body of a section of RESULTS.md; raises ValueError where there is none."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"benchmarks/RESULTS.md has no section {title!r}; run its benchmark")
    return found[1]


def stage_seconds(text: str) -> dict[str, float]:
    """Seconds of each stage of the measured day.

    >>> stage_seconds("| stage | tasks | seconds |\\n|---|---|---|\\n| plan-covers | 1 | 1.7 |")
    {'plan-covers': 1.7}
    """
    return {name: float(seconds) for name, seconds in re.findall(r"^\| ([a-z-]+) \| \d+ \| ([\d.]+) \|$", text, re.MULTILINE)}


def figure(pattern: str, text: str) -> float:
    """The one number that a pattern finds; raises ValueError where the table does not have it any more."""
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"benchmarks/RESULTS.md has no figure like {pattern!r} any more; mend benchmarks/cost.py")
    return float(found[1].replace(",", ""))


def units(scale: Scale, name: str, churn: float) -> float:
    """How many of a unit a scale has on a day; ``new_pairs`` are the share of pairs that change."""
    return scale.pairs * churn if name == "new_pairs" else float(getattr(scale, name))


def unit_seconds(stage: Stage, seconds: Mapping[str, float]) -> float:
    """Core-seconds of one unit."""
    return seconds[stage.name] * stage.cores / stage.measured


def core_seconds(stage: Stage, seconds: Mapping[str, float], scale: Scale, churn: float) -> float:
    """What a stage takes of one core on a scale."""
    each = unit_seconds(stage, seconds)
    return each if stage.unit is None else each * units(scale, stage.unit, churn)


def tables(text: str, *, core_hour: float, churn: float) -> str:
    """The measured part of docs/cost.md."""
    seconds = stage_seconds(section("A day on the embedded world", text))
    missing = [stage.name for stage in STAGES if stage.name not in seconds]
    if missing:
        raise ValueError(f"the day in benchmarks/RESULTS.md has no {', '.join(missing)}; run benchmarks.day again")
    head = "".join(f" {scale.name} |" for scale in SCALES)
    lines = [f"| core-hours a day | unit cost |{head}", f"|---|---|{'---:|' * len(SCALES)}"]
    for stage in STAGES:
        each = unit_seconds(stage, seconds)
        cost = f"{_said(each)} a run" if stage.unit is None else f"{_said(each)} each of {stage.unit.replace('_', ' ')}"
        cells = "".join(f" {_hours(core_seconds(stage, seconds, scale, churn))} |" for scale in SCALES)
        lines.append(f"| {stage.name} | {cost}{f' ({stage.note})' if stage.note else ''} |{cells}")
    totals = [sum(core_seconds(stage, seconds, scale, churn) for stage in STAGES) for scale in SCALES]
    lines.append(f"| **all** | |{''.join(f' **{_hours(total)}** |' for total in totals)}")
    priced = "".join(f" {total / HOUR * core_hour:,.2f} |" for total in totals)
    lines.append(f"| at {core_hour:g} a core-hour | |{priced}")
    return "\n".join([*_scales(churn), "", *lines, "", *_storage(text), ""])


def _scales(churn: float) -> list[str]:
    names = ("users", "items", "new_items", "new_rows", "pairs", "new_pairs")
    lines = [f"| a day has |{''.join(f' {scale.name} |' for scale in SCALES)}", f"|---|{'---:|' * len(SCALES)}"]
    lines += [f"| {name.replace('_', ' ')} |{''.join(f' {units(s, name, churn):,.0f} |' for s in SCALES)}" for name in names]
    return lines


def _storage(text: str) -> list[str]:
    """What serving and storing come to: index, look-ups, uploads."""
    reading, publishing = section("Reading published covers", text), section("Publishing covers", text)
    rows = figure(r"file \| ([\d,]+) and", reading) + figure(r"and ([\d,]+);", reading)
    index_bytes = figure(r"; (\d+) MB \|", reading) * 1e6 / rows
    build = figure(r"building it from its tables, once \| ([\d.,]+) s", reading) / rows
    look_up = figure(r"look-ups, reader: p50, p99 \| ([\d.]+) µs", reading)
    a_second = figure(r"16 at once \| [\d.,]+ s, ([\d.,]+) files", publishing)
    files, size = figure(r"files \| ([\d,]+),", publishing), figure(r"files \| [\d,]+, ([\d.]+) MB", publishing)
    head = "".join(f" {scale.name} |" for scale in SCALES)
    lines = [f"| serving and storing | unit cost |{head}", f"|---|---|{'---:|' * len(SCALES)}"]

    def line(words: str, cost: str, cells: list[str]) -> None:
        lines.append(f"| {words} | {cost} |{''.join(f' {cell} |' for cell in cells)}")

    def entries(scale: Scale) -> int:
        return scale.pairs + scale.users

    line("index file", f"{index_bytes:.0f} bytes a pair or user", [_bytes(entries(s) * index_bytes) for s in SCALES])
    line("building it, core-hours", f"{_said(build)} a pair or user", [_hours(entries(s) * build) for s in SCALES])
    line(
        "covers of one day, all new",
        f"{_bytes(size * 1e6 / files)} each at 64 px",
        [_bytes(s.pairs * size * 1e6 / files) for s in SCALES],
    )
    line("uploading them from one worker", f"{a_second:.0f} files a second", [_duration(s.pairs / a_second) for s in SCALES])
    line("a look-up", f"{look_up:.2f} µs", ["the same"] * len(SCALES))
    return lines


def _said(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _hours(seconds: float) -> str:
    hours = seconds / HOUR
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}" if hours >= 0.001 else "< 0.001"


def _bytes(count: float) -> str:
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} bytes"


def _duration(seconds: float) -> str:
    return f"{seconds / HOUR:.2g} h" if seconds >= HOUR else f"{seconds / 60:.2g} min" if seconds >= 60 else f"{seconds:.2g} s"


def main() -> None:
    """Print the tables, or put them into docs/cost.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core-hour", type=float, default=0.04)
    parser.add_argument("--churn", type=float, default=0.1)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    made = tables(RESULTS.read_text(), core_hour=asked.core_hour, churn=asked.churn)
    if not asked.write:
        print(made)
        return
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"docs/cost.md lacks the marks {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n{END}{after}")


if __name__ == "__main__":
    main()
