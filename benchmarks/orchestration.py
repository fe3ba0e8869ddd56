"""What orchestration costs: how long Airflow takes to read the daily Dag, and for how much of a day no stage was at work.

Reading is timed as the dag-processor does it: a fresh process that has Airflow loaded parses and serializes the Dag's file,
while a run with 1,000 mapped shards is queued in its database. A day's overhead is read from a finished demo: the run's
wall time less the time in which a stage was at work by its own clock (its closing line's seconds, up to the end of its
task). Run after ``make demo``: ``python -m benchmarks.orchestration [--home .demo] [--rounds 5]``.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.results import write_section
from infra.demo.options import REPOSITORY

SHARDS = 1000
_PARSE = """
import json, sys, time
from pathlib import Path
import airflow.dag_processing.manager
from airflow.dag_processing.processor import DagFileParseRequest, _parse_file, _pre_import_airflow_modules
import structlog
dags = Path({dags!r})
sys.path[:0] = [str(dags)]
file = str(dags / "icg_daily.py")
_pre_import_airflow_modules(file, structlog.get_logger())
started = time.perf_counter(), time.process_time()
result = _parse_file(DagFileParseRequest(file=file, bundle_path=dags, bundle_name="dags-folder"), structlog.get_logger())
ended = time.perf_counter(), time.process_time()
assert not result.import_errors, result.import_errors
(dag,) = result.serialized_dags
print(json.dumps([ended[0] - started[0], ended[1] - started[1]]))
"""
_QUEUE = """
import sys, uuid
from datetime import UTC, datetime
sys.path[:0] = [{dags!r}]
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
bag = DagBag({dags!r}, bundle_name="dags-folder")
with create_session() as session:
    session.add(DagBundleModel(name="dags-folder"))
    session.commit()
sync_bag_to_db(bag, "dags-folder", None)
from airflow.models.serialized_dag import SerializedDagModel
with create_session() as session:
    dag = SerializedDagModel.get("icg_daily", session=session).dag
    day = datetime(2026, 3, 10, tzinfo=UTC)
    run = dag.create_dagrun(
        run_id="queued", logical_date=day, data_interval=(day, day), run_after=day, run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING, session=session)
    task = dag.get_task("covers.generate-covers")
    version = DagVersion.get_latest_version("icg_daily", session=session)
    for number in range({shards}):
        names = dict(run_id=run.run_id, map_index=number, dag_version_id=version.id)
        session.add(TaskInstance(task, state=TaskInstanceState.QUEUED, **names))
print(session.query(TaskInstance).filter_by(state="queued").count())
"""


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """Seconds of a finished day: from the run's begin to its end, of these with a stage at work, and tasks that ran."""

    wall: float
    at_work: float
    tasks: int

    @property
    def share(self) -> float:
        """Of the wall time in which no stage was at work."""
        return 1 - self.at_work / self.wall


def union_seconds(intervals: Iterable[tuple[float, float]]) -> float:
    """Length of what the intervals cover together.

    >>> union_seconds([(0, 2), (1, 3), (5, 6)])
    4.0
    """
    covered, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        covered += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return covered


def overhead_of(run: Sequence[str], tasks: Iterable[Sequence[str | int]], seconds: Mapping[str, float]) -> Overhead:
    """``run``: begin and end; ``tasks``: stage, shard, begin and end; ``seconds``: by stage, or stage and shard."""
    begin, end = (_moment(text) for text in run)
    intervals, number = [], 0
    for stage, shard, task_begin, task_end in tasks:
        number += 1
        own = seconds.get(f"{stage}-{shard}" if isinstance(shard, int) and shard >= 0 else str(stage))
        if own is not None:
            last = _moment(str(task_end))
            intervals.append((max(last - own, _moment(str(task_begin))), last))
    return Overhead(wall=end - begin, at_work=union_seconds(intervals), tasks=number)


def read_overhead(home: Path) -> Overhead:
    """Of the newest successful run of a demo's home."""
    with closing(sqlite3.connect(f"file:{home / 'airflow' / 'airflow.db'}?mode=ro", uri=True)) as database:
        run_id, *run = database.execute(
            "select run_id, start_date, end_date from dag_run where state = 'success' order by id desc limit 1"
        ).fetchone()
        rows = database.execute(
            "select task_id, map_index, start_date, end_date from task_instance where run_id = ? and state = 'success'",
            (run_id,),
        ).fetchall()
    day = run_id.split("__")[1]
    lines = [json.loads(path.read_text()) | {"file": path.stem} for path in home.glob(f"store/runs/ds={day}/*.json")]
    seconds = {line["file"]: float(line["seconds"]) for line in lines if "seconds" in line}
    return overhead_of(run, [(task.rpartition(".")[2], *rest) for task, *rest in rows], seconds)


def parse_seconds(rounds: int) -> list[tuple[float, float]]:
    """Wall and processor seconds of each round, with 1,000 shards queued."""
    dags = str(REPOSITORY / "dags")
    with tempfile.TemporaryDirectory() as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ICG_"))} | {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": dags,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        }
        _python(environment, "-m", "airflow", "db", "migrate")
        queued = _python(environment, "-c", _QUEUE.format(dags=dags, shards=SHARDS)).splitlines()[-1]
        if int(queued) < SHARDS:
            raise SystemExit(f"{queued} shards are queued, not {SHARDS}")
        found = [json.loads(_python(environment, "-c", _PARSE.format(dags=dags)).splitlines()[-1]) for _ in range(rounds)]
    return [(wall, processor) for wall, processor in found]


def _python(environment: Mapping[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], env=dict(environment), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{words[0]} failed: {done.stderr[-3000:]}")
    return done.stdout


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    """Measure, read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".demo"))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    parsed = parse_seconds(arguments.rounds)
    walls, processors = [wall for wall, _ in parsed], [processor for _, processor in parsed]
    day = read_overhead(arguments.home)
    rows = [
        f"| reading the Dag, {SHARDS:,} mapped shards queued: seconds, median of {len(walls)} (range) | "
        f"{statistics.median(walls):.2f} ({min(walls):.2f} to {max(walls):.2f}) | under 0.5 |",
        f"| … processor seconds | {statistics.median(processors):.2f} | |",
        f"| a day: wall seconds | {day.wall:.0f} | |",
        f"| … of these with a stage at work | {day.at_work:.0f} | |",
        f"| … without: orchestration | {day.wall - day.at_work:.0f} ({day.share:.1%}) | at most 10 % |",
        f"| … per task ({day.tasks}) | {(day.wall - day.at_work) / day.tasks:.1f} | |",
    ]
    text = "\n".join(["| | measured | asked |", "|---|---|---|", *rows])
    print(text)
    write_section("Orchestration", text)


if __name__ == "__main__":
    main()
