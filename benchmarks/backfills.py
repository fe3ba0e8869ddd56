"""Two back-fills and a daily run at once, the back-fills backwards: are the bytes those of days lived one after the other?

Real Airflow on PostgreSQL, the real Dag and stages, a small world, a folder as store. One range is asked for by ``airflow
backfill create --run-backwards``; the daily run and the second range are triggered while it goes, that range's latest date
first (Airflow has one back-fill per Dag at a time). The reference is the same days in order, without Airflow. The whole
store is compared. Run (as root, with Debian's postgresql): ``python -m benchmarks.backfills [--days 5] [--keep FOLDER]
[--minutes 10]``; it goes on from what is kept, and before time is up it lets the tasks at work end and holds back the
others.
"""

import argparse
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.chaos_airflow import Cluster, start, wait
from benchmarks.chaos_ground import DAY, MODULES, contents, differences, range_of, raw_world, reference
from benchmarks.results import write_section
from icg_tasks.lake.store import open_store
from infra.demo.airflow import DAG_ID
from infra.demo.s3 import copy_store

_ENDED = {"success", "failed"}
_DRAIN_SECONDS = 240.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """The days of both ranges and of the daily run, which comes last."""

    first: list[date]
    second: list[date]
    daily: date

    @property
    def days(self) -> list[date]:
        """All of them in order."""
        return [*self.first, *self.second, self.daily]


def order_of(days_each: int) -> Order:
    """Two ranges of so many days, the daily run's day behind them."""
    days = range_of(DAY, 2 * days_each + 1)
    return Order(first=days[:days_each], second=days[days_each:-1], daily=days[-1])


def ask_for(cluster: Cluster, order: Order) -> None:
    """The first range backwards by Airflow's back-fill; then, while that goes, the daily run and the second range backwards."""
    cluster.command(
        "backfill", "create", "--dag-id", DAG_ID, "--from-date", order.first[0].isoformat(), "--to-date",
        order.first[-1].isoformat(), "--run-backwards", "--max-active-runs", str(len(order.first)),
    )  # fmt: skip
    cluster.pause(False)  # not before: the schedule's own latest run would be alone, and take the first turn
    cluster.trigger(order.daily)
    for day in reversed(order.second):
        cluster.trigger(day)


def live(keep: Path, order: Order, until: float) -> bool:
    """Go on with all runs until they have ended (True) or time is up."""
    folder = keep / f"together-{len(order.days)}"
    cluster = start(folder, keep / "database", ceph=False, modules=keep / MODULES, timetable="0 0 * * *")
    try:
        cluster.wait_ready()
        if not (folder / "asked").exists():
            copy_store(str(raw_world(keep, order.days[0], len(order.days))), cluster.store_uri)
            ask_for(cluster, order)
            (folder / "asked").touch()
        cluster.pause(False)
        began = time.monotonic()
        while time.monotonic() < until:
            states = [cluster.days().get(str(day), "") for day in order.days]
            print(f"{time.monotonic() - began:.0f} s: {' '.join(states)}", file=sys.stderr, flush=True)
            if set(states) <= _ENDED:
                return True
            time.sleep(10)
        drain(cluster)
        return False
    finally:
        cluster.close()


def drain(cluster: Cluster) -> None:
    """Begin nothing more, and let what is at work end."""
    cluster.pause(True)
    idle = "select 1 from task_instance where state in ('running', 'queued') limit 1"
    with suppress(TimeoutError):
        wait(lambda: cluster.ask(idle) == [], _DRAIN_SECONDS, "tasks at work", every=2)


def turns_taken(cluster_folder: Path) -> str:
    """In which order the days were published, by the files' times."""
    found = sorted(
        (path.stat().st_mtime, path.parent.name.removeprefix("ds="))
        for path in (cluster_folder / "store" / "covers" / "v1" / "manifests").glob("ds=*/_manifest.json")
    )
    return ", ".join(day for _, day in found)


def main() -> None:
    """Reference, both back-fills and the daily run, comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=5, help="of each back-fill")
    parser.add_argument("--keep", type=Path, default=Path(".cache/chaos"))
    parser.add_argument("--minutes", type=float, default=600)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything started is stopped again
    keep, until = arguments.keep.absolute(), time.monotonic() + 60 * arguments.minutes
    keep.mkdir(parents=True, exist_ok=True)
    order = order_of(arguments.days)
    wanted = reference(keep, order.days, until)
    if wanted is None or not live(keep, order, until):
        print("not at its end yet: run it again", file=sys.stderr)
        sys.exit(75)
    folder = keep / f"together-{len(order.days)}"
    found = contents(open_store(str(folder / "store")))
    wrong = differences(wanted, found)
    text = report(order, folder, len(found), wrong)
    print(text)
    write_section("Back-fills beside a daily run", text)
    if wrong:
        sys.exit(1)


def report(order: Order, folder: Path, objects: int, wrong: list[str]) -> str:
    """The table."""
    rows = [
        f"| back-fill by `airflow backfill create --run-backwards` | {order.first[0]} to {order.first[-1]} |",
        f"| back-fill by triggers, latest first | {order.second[0]} to {order.second[-1]} |",
        f"| daily run, asked for between the two | {order.daily} |",
        f"| published in this order | {turns_taken(folder)} |",
        f"| objects compared | {objects:,} |",
        f"| missing, too many, or of other bytes | {len(wrong)} |",
    ]
    return "\n".join(["| | |", "|---|---|", *rows, "", *wrong[:20]])


if __name__ == "__main__":
    main()
