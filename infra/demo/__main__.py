"""`python -m infra.demo` (make demo): makes or reads the logs, runs the day through Airflow, shows what came out.

Everything it starts is stopped again by pid, also on Ctrl-C, SIGTERM and failure. Exit code 0 only when every stage succeeded.
"""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from rich.console import Console
from rich.markup import escape

from icg_tasks.contracts.pseudonym import KEY_VARIABLE
from icg_tasks.contracts.stages import GENERATE_COVERS
from icg_tasks.lake.store import open_store
from infra.demo import s3
from infra.demo.airflow import Airflow, TaskState
from infra.demo.environment import airflow_environment, stage_environment
from infra.demo.example import example_command
from infra.demo.memory import MemoryWatch
from infra.demo.options import NUM_DAYS, DemoFailed, Options, check_options, read_options
from infra.demo.processes import Service, free_ports, stop, tail
from infra.demo.progress import Progress
from infra.demo.summary import print_summary, stage_lines

_POLL_SECONDS = 1.5
_WIDTH = 132  # of what is written to a file or a pipe


_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(*_: object) -> None:
    """The first signal interrupts; while everything is being stopped, a second one would leave something running."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo; the exit code."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    started = time.monotonic()
    watch = MemoryWatch()
    services: list[Service] = []
    for number in _STOPS:  # also where a shell in the background had them ignored
        signal.signal(number, _interrupt)
    try:
        options = read_options(sys.argv[1:])
        check_options(options)
        with _only_one(options.home):
            run_day(console, options, services)
    except DemoFailed as error:
        console.print(f"\n[red]The demo stopped:[/] {escape(str(error))}", soft_wrap=True)
        for line in error.advice:
            console.print(f"  → {escape(line)}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted: stopping what was started; `make demo` goes on from what was saved.")
        return 130
    finally:
        stop(services[::-1])
        peak = watch.close()
        console.print(
            f"[dim]{time.monotonic() - started:.0f} s, peak memory {peak / 2**30:.2f} GiB (this process and all below it)[/]"
        )
    return 0


def run_day(console: Console, options: Options, services: list[Service]) -> None:
    """From logs to tables. Appends whatever it starts to ``services``; raises DemoFailed."""
    variables: Mapping[str, str] = {}
    kept = s3.kept_folder(options)
    moto = False
    store_uri = str(options.home / options.world_name)
    if options.store == "s3":
        given = s3.given_endpoint()
        bucket = os.environ.get("ICG_BUCKET", s3.BUCKET)
        if given is None:
            service, variables = s3.start_moto(options)
            services.append(service)
            moto = True
        else:
            variables = given
        s3.make_bucket(variables, bucket)
        store_uri = f"s3://{bucket}/{options.world_name}"
        if moto and kept.exists():
            console.print(
                f"reused: {s3.copy_store(str(kept), store_uri)} objects of the last S3 demo, from {kept}", soft_wrap=True
            )
    environment = stage_environment(options, store_uri, variables)
    airflow = Airflow(options, airflow_environment(options, environment, free_ports(1)[0]))
    try:
        _run_in(console, options, environment, airflow, services, store_uri)
        _print_example(console, options, environment, store_uri, str(kept) if moto else store_uri)
    finally:
        if moto:
            s3.copy_store(store_uri, str(kept))
            console.print(f"a copy of the bucket, to look at: {kept}", soft_wrap=True)


def _run_in(
    console: Console,
    options: Options,
    environment: Mapping[str, str],
    airflow: Airflow,
    services: list[Service],
    store_uri: str,
) -> None:
    log = options.home / "logs" / "input.log"
    before = _closing_lines(store_uri, options)
    reader = Service("the input", _input_command(options), environment, log)
    services.append(reader)
    made = airflow.migrate()
    console.print("Airflow's database: " + ("made" if made else "reused"))
    airflow.start()
    services.extend(airflow.services)
    airflow.wait_ready(lambda: None)
    console.print(f"Airflow is up: {airflow.url} (no password, this machine only, until the demo ends)")
    _finish_input(console, reader.process, log, options)
    run_id, again = airflow.trigger(options.run_date)
    if again:
        console.print(
            f"{options.run_date} already has a run, and Airflow allows one per logical date: triggered with a run_date instead"
        )
    console.print(f"icg_daily for {options.run_date}, run {run_id}")
    tasks = _follow(console, airflow, run_id)
    failed = [task for task in tasks if task.state == "failed"]
    if failed or airflow.run_state(run_id) != "success":
        raise _failure(airflow, run_id, failed)
    after = _closing_lines(store_uri, options)
    reused = {stage for stage, line in after.items() if before.get(stage) == line and environment.get("ICG_REUSE")}
    if reused:
        console.print(f"reused, since nothing they read had changed: {', '.join(sorted(reused))}")
    print_summary(console, open_store(store_uri), options.run_date, reused)


def _print_example(console: Console, options: Options, environment: Mapping[str, str], store_uri: str, place: str) -> None:
    """How to ask for a cover; ``place``: where the store lies afterwards."""
    command = example_command(open_store(store_uri), place, options.home, environment[KEY_VARIABLE].encode())
    if command is not None:
        console.print(f"ask for one {command}", soft_wrap=True, markup=False, highlight=False)


def _input_command(options: Options) -> list[str]:
    icg = [sys.executable, "-m", "icg_tasks.cli"]
    if options.source == "classics":
        return [*icg, "ingest", "classics", "--run-date", options.run_date.isoformat(), "--path", str(options.data)]
    return [*icg, "simulate", "--run-date", options.run_date.isoformat(), "--days", str(NUM_DAYS)]


def _finish_input(console: Console, process: Popen[bytes], log: Path, options: Options) -> None:
    with console.status("waiting for the logs to be written") if console.is_terminal else _nothing():
        code = process.wait()
    if code != 0:
        raise DemoFailed(
            f"{'reading ' + str(options.data) if options.data else 'the simulation'} failed:\n{tail(log)}", f"see {log}"
        )
    console.print(f"raw logs of the days up to {options.run_date} are in place")


def _follow(console: Console, airflow: Airflow, run_id: str) -> list[TaskState]:
    with Progress(console) as progress:
        while True:
            airflow.check()
            state = airflow.run_state(run_id)
            tasks = airflow.tasks(run_id)
            progress.show(tasks)
            if airflow.has_ended(state):
                return tasks
            time.sleep(_POLL_SECONDS)


def _failure(airflow: Airflow, run_id: str, failed: list[TaskState]) -> DemoFailed:
    if not failed:
        return DemoFailed(
            f"run {run_id} failed without a failed task", f"see {airflow.url} while the demo runs, or Airflow's logs"
        )
    path, messages = airflow.task_log(run_id, failed[0])
    words = "\n".join(f"    {message}" for message in messages)
    return DemoFailed(
        f"{failed[0].stage} failed. The end of its log:\n{words}",
        f"the whole log: {path}",
        "a refused gate (exit 3) means the data or the model was not good enough; its last lines say which check",
        "after mending the cause, `make demo` again: finished stages are reused",
    )


def _closing_lines(store_uri: str, options: Options) -> dict[str, str]:
    """Each stage's closing lines as text, to see which ones a run left as they were."""
    lines = stage_lines(open_store(store_uri), options.run_date)
    return {stage: str(sorted(map(str, found))) for stage, found in lines.items() if found or stage == GENERATE_COVERS}


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with (home / "lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(f"another demo is running in {home}.", "wait for it, or use HOME_FOLDER=/another/folder") from None
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


if __name__ == "__main__":
    sys.exit(main())
