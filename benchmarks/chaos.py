"""Every part of the platform killed during a day, at seeded moments spread over all of it: does the day end right by itself?

A day is the real Dag with the real stages on a small world, run by a real Airflow on PostgreSQL, in a store of Ceph's
gateway. A supervisor starts again what has died, as systemd or Kubernetes would, and nobody else does anything. A day has
ended right if its run is a success and the store holds what an undisturbed life without Airflow left: the same objects, the
same bytes, no more. Run (as root, with Debian's postgresql): ``python -m benchmarks.chaos [--kills 10] [--components store
…] [--keep FOLDER]``; days are kept there one by one, so a run that stops goes on. Stages are forked off a warm process, or
started with ``--cold``.
"""

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.chaos_airflow import Cluster, Task, start, wait, wipe
from benchmarks.chaos_ground import DAY, MODULES, code, contents, differences, raw_world, reference, write_json
from benchmarks.chaos_strikes import is_back, strike
from benchmarks.results import write_section
from icg_tasks.lake.store import open_store
from infra.demo.s3 import copy_store

COMPONENTS = ("scheduler", "worker", "api-server", "database", "store")
LOOK_SECONDS = 0.3
DAY_SECONDS = 2400.0
"""A day that takes longer than this has not ended right."""
BACK_SECONDS = 150.0
"""After so long the next one is killed, whether or not the last one is back."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When somebody is killed: so long after a task of the day has begun, or when it ends."""

    task: str
    seconds: float


def moments(timeline: Sequence[tuple[str, float]], wall: float, count: int, dice: np.random.Generator) -> list[Moment]:
    """One in each of ``count`` equal parts of an undisturbed day. ``timeline``: tasks and when they began."""
    found = []
    for number in range(count):
        at = float(wall * (number + dice.uniform()) / count)
        name, began = max((entry for entry in timeline if entry[1] <= at), key=lambda entry: entry[1], default=timeline[0])
        found.append(Moment(task=name, seconds=max(0.0, at - began)))
    return found


class Watch:
    """What is known of a run: when each task was first seen at work, and whether the run is over."""

    def __init__(self, cluster: Cluster, run_id: str) -> None:
        self.cluster = cluster
        self.run_id = run_id
        self.began = time.monotonic()
        self.first: dict[str, float] = {}
        self.tasks: list[Task] = []
        self.state = "queued"

    def look(self) -> None:
        """Ask the database; no answer changes nothing."""
        tasks, states = self.cluster.tasks(self.run_id), self.cluster.states()
        if tasks is None or states is None:
            return
        self.tasks, self.state = tasks, states[self.run_id]
        for task in tasks:
            if task.begun:
                self.first.setdefault(task.name, time.monotonic() - self.began)

    @property
    def over(self) -> bool:
        """Success, failure, or out of patience."""
        return self.state in {"success", "failed"} or time.monotonic() - self.began > DAY_SECONDS

    def to_its_end(self) -> None:
        """Until the run is over."""
        while not self.over:
            self.look()
            time.sleep(LOOK_SECONDS)

    def wait_for(self, moment: Moment) -> bool:
        """Until that moment; False where the day is over before."""
        while not self.over:
            self.look()
            done = any(task.name == moment.task and task.state == "success" for task in self.tasks)
            since = self.first.get(moment.task)
            if done or (since is not None and time.monotonic() - self.began >= since + moment.seconds):
                return not self.over
            time.sleep(LOOK_SECONDS)
        return False


def disturbed(watch: Watch, components: Sequence[str], plan: Sequence[Moment], number: int) -> list[dict[str, Any]]:
    """Kill at every moment that comes; whom, during which task, after how many seconds of the day, and how long it was away."""
    struck: list[dict[str, Any]] = []
    for turn, moment in enumerate(plan):
        component, whom = components[(turn + number) % len(components)], ""
        while not whom and watch.wait_for(moment):
            whom = strike(watch.cluster, component, turn // len(components) + number)
            time.sleep(LOOK_SECONDS)
        if not whom:
            break
        killed = time.monotonic()
        while not watch.over and not is_back(watch.cluster, component, time.monotonic() - killed) and not _patience(killed):
            watch.look()
            time.sleep(LOOK_SECONDS)
        away = time.monotonic() - killed
        at = killed - watch.began
        struck.append({"component": component, "whom": whom, "task": moment.task, "at": at, "away": away})
        print(f"  {at:.0f} s: {whom}, during {moment.task}; back after {away:.0f} s", file=sys.stderr, flush=True)
    return struck


def _patience(killed: float) -> bool:
    return time.monotonic() - killed > BACK_SECONDS


def live(keep: Path, components: Sequence[str], plan: Sequence[Moment], number: int, *, cold: bool) -> dict[str, Any]:
    """One day with a kill at each of these moments, the components in turn; what is to be told of it."""
    wanted = reference(keep, [DAY])
    if wanted is None:
        raise SystemExit("the reference was not lived to its end; run it again")
    folder = keep / f"day-{number}"
    wipe(folder)
    cluster = start(folder, keep / "database", ceph=True, modules=None if cold else keep / MODULES)
    try:
        copy_store(str(raw_world(keep, DAY, 1)), cluster.store_uri)
        cluster.wait_ready()
        watch = Watch(cluster, cluster.trigger(DAY))
        struck = disturbed(watch, components, plan, number)
        watch.to_its_end()
        wall = time.monotonic() - watch.began
        wait(cluster.store_answers, 60, "the store does not come back")
        found = contents(open_store(cluster.store_uri))
    finally:
        cluster.close()
    write_json(keep / f"left-{number}-{code()}.json", found)
    return {
        "number": number, "state": watch.state, "wall": wall, "kills": struck, "wrong": differences(wanted, found),
        "first": watch.first,
        "tries": {task.name: task.tries for task in watch.tasks if task.tries > 1},
        "tasks": {task.name: task.state for task in watch.tasks},
    }  # fmt: skip


def lived_days(keep: Path) -> list[dict[str, Any]]:
    """All disturbed days that are kept."""
    return [json.loads(path.read_text()) for path in sorted(keep.glob("lived-*.json"))]


def undisturbed(keep: Path, *, cold: bool) -> dict[str, Any]:
    """An undisturbed day of the same Airflow: when its tasks begin, how long it takes. Lived once and kept."""
    path = keep / "calm.json"
    if not path.exists():
        write_json(path, live(keep, COMPONENTS, [], 0, cold=cold))
    found: dict[str, Any] = json.loads(path.read_text())
    if found["state"] != "success" or found["wrong"]:
        raise SystemExit(f"the undisturbed day did not end right: {found['state']}, {found['wrong'][:5]}; see {keep}")
    return found


def table(days: Sequence[dict[str, Any]], calm: dict[str, Any]) -> str:
    """One row per kind of kill, and what became of the days."""
    rows = []
    for component in COMPONENTS:
        for whom in sorted({struck["whom"] for day in days for struck in day["kills"] if struck["component"] == component}):
            mine = [(day, struck) for day in days for struck in day["kills"] if struck["whom"] == whom]
            aways = [struck["away"] for _, struck in mine]
            right = sum(ended_right(day) for day, _ in mine)
            rows.append(f"| {component} | {whom} | {len(mine)} | {right} | {np.median(aways):.0f} ({max(aways):.0f}) |")
    kills = sum(len(day["kills"]) for day in days)
    lost = sum(day["wall"] - calm["wall"] for day in days)
    tries = sum(tries - 1 for day in days for tries in day["tries"].values())
    return "\n".join(
        [
            "| component | killed | times | of these in a day that ended right | away for seconds, median (longest) |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"{kills} kills in {len(days)} days, of which {sum(map(ended_right, days))} ended right. An undisturbed day took"
            f" {calm['wall']:.0f} s, a kill {lost / max(kills, 1):.0f} s of wall time; tasks were tried {tries} times again.",
            "",
            *(f"Day {day['number']}: {day['state']}; {day['wrong'][:5]}" for day in days if not ended_right(day)),
        ]
    )


def ended_right(day: dict[str, Any]) -> bool:
    """Success, and nothing missing, too much or of other bytes."""
    return day["state"] == "success" and not day["wrong"]


def main() -> None:
    """Days until every component was killed often enough; the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--components", nargs="+", choices=COMPONENTS, default=COMPONENTS, help="who is killed, in turn")
    parser.add_argument("--kills", type=int, default=10, help="of each")
    parser.add_argument("--kills-a-day", type=int, default=10, help="of all together")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, default=Path(".cache/chaos"))
    parser.add_argument("--minutes", type=float, default=600, help="begin no further day after so many minutes")
    parser.add_argument("--cold", action="store_true", help="start stages as everywhere: minutes more a day")
    arguments = parser.parse_args()
    keep, until = arguments.keep.absolute(), time.monotonic() + 60 * arguments.minutes
    keep.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything started is stopped again
    calm = undisturbed(keep, cold=arguments.cold)
    while time.monotonic() < until:
        days = lived_days(keep)
        struck = Counter(struck["component"] for day in days for struck in day["kills"])
        left = sum(max(0, arguments.kills - struck[component]) for component in arguments.components)
        if not left:
            break
        dice = np.random.default_rng([arguments.seed, len(days)])
        plan = moments(list(calm["first"].items()), calm["wall"], min(left, arguments.kills_a_day), dice)
        day = live(keep, arguments.components, plan, len(days) + 1, cold=arguments.cold)
        write_json(keep / f"lived-{len(days) + 1:03d}.json", day)
        print(
            f"day {day['number']}: {day['state']} after {day['wall']:.0f} s, {len(day['wrong'])} differences", file=sys.stderr
        )
    text = table(lived_days(keep), calm)
    print(text)
    write_section("Chaos: every part killed during a day", text)


if __name__ == "__main__":
    main()
