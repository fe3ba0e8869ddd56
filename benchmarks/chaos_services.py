"""Services that are started again when they end, as systemd or Kubernetes would, and what a benchmark's Airflow consists of.

PostgreSQL (Debian's, as user postgres), Ceph's gateway (infra/rgw-up), api-server, scheduler, dag-processor. Not to be run.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread

import psutil

from infra.demo.options import REPOSITORY
from infra.demo.processes import free_ports

_POSTGRES = Path("/usr/lib/postgresql")
RESTART_SECONDS = 1.0


@dataclass
class Kept:
    """One service: how it is started, and its process while it lives. Each has a session of its own."""

    name: str
    words: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    members: dict[int, float] = field(default_factory=dict)

    def start(self) -> None:
        """Start it; what it says goes to its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                list(self.words), env=dict(self.environment), cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=sink,
                stderr=sink, start_new_session=True,
            )  # fmt: skip
        self.starts += 1
        self.members = {}

    def family(self) -> list[psutil.Process]:
        """Its process and everything below it."""
        with suppress(psutil.NoSuchProcess):
            if self.process is not None and self.process.poll() is None:
                parent = psutil.Process(self.process.pid)
                return [parent, *parent.children(recursive=True)]
        return []

    def note(self) -> None:
        """Remember who belongs to it, so that they are found when the parent is gone."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                self.members[process.pid] = process.create_time()

    def left(self) -> list[psutil.Process]:
        """Who of its former members still runs."""
        found = []
        for pid, born in self.members.items():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.create_time() == born and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


class Supervisor:
    """Watches services in a thread: one that has ended loses what it left behind (a container's end) and starts again."""

    def __init__(self) -> None:
        self.services: dict[str, Kept] = {}
        self._spared: list[psutil.Process] = []
        self._closed = Event()
        self._lock = Lock()
        self._thread = Thread(target=self._watch, daemon=True)

    def add(self, service: Kept) -> None:
        """Start a service and keep it up from now on."""
        with self._lock:
            service.start()
            self.services[service.name] = service
        if not self._thread.is_alive():
            self._thread.start()

    def kill(self, name: str, *, alone: bool = False) -> None:
        """SIGKILL to a service with everything below it, at once; ``alone``: those below live on, left to themselves."""
        with self._lock:
            service = self.services[name]
            family = service.family()
            for process in family[:1] if alone else family:
                kill(process)
            if alone:
                self._spared += family[1:]
                service.members = {}

    def close(self) -> None:
        """Stop everything: politely first, the last started first. A signal meanwhile would leave something running."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._close()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _close(self) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        for service in reversed(self.services.values()):
            service.note()
            if service.process is not None and service.process.poll() is None:
                service.process.send_signal(signal.SIGINT if service.name == "database" else signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    service.process.wait(timeout=25)
            for process in service.left():
                kill(process)
            if service.process is not None:
                service.process.wait(timeout=10)
        for process in self._spared:
            with suppress(psutil.NoSuchProcess):
                for below in [process, *process.children(recursive=True)]:
                    kill(below)

    def _watch(self) -> None:
        while not self._closed.wait(RESTART_SECONDS):
            with self._lock:
                for service in self.services.values():
                    if service.process is not None and service.process.poll() is None:
                        service.note()
                        continue
                    for process in service.left():
                        kill(process)
                    psutil.wait_procs(service.left(), timeout=3)
                    service.start()


def kill(process: psutil.Process) -> None:
    """SIGKILL, where it still runs."""
    with suppress(psutil.NoSuchProcess):
        process.kill()


def database(folder: Path) -> tuple[Kept, str]:
    """PostgreSQL in this folder (made where it is not there), and the address for SQLAlchemy. Needs root or user postgres."""
    programs = max(_POSTGRES.glob("*/bin"), default=None)
    if programs is None:
        raise SystemExit("no PostgreSQL here: apt-get install postgresql")
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        folder.mkdir(parents=True, exist_ok=True)
        if as_postgres:
            shutil.chown(folder, "postgres", "postgres")
        words = [*as_postgres, f"{programs}/initdb", "-D", str(data), "-A", "trust", "-U", "airflow", "--no-sync"]
        subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL, cwd="/")
    port = free_ports(1)[0]
    words = [*as_postgres, f"{programs}/postgres", "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
    words += ["-c", "idle_in_transaction_session_timeout=60s"]  # as infra/compose has it, and for the same reason
    return (
        Kept("database", words, environment, folder.parent / "logs" / "database.log"),
        f"postgresql+psycopg2://airflow@127.0.0.1:{port}/postgres",
    )


def gateway(folder: Path) -> tuple[Kept, dict[str, str]]:
    """Ceph with its gateway, the gateway alone to be killed and started again; the AWS_ variables that lead there."""
    port = free_ports(1)[0]
    script = REPOSITORY / "infra" / "rgw-up"
    done = subprocess.run([script, folder, str(port)], check=True, capture_output=True, text=True)
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("AWS_"))
    first = psutil.Process(int((folder / "rgw.pid").read_text()))
    words = first.cmdline()
    first.terminate()
    first.wait(timeout=20)
    environment = {"PATH": os.environ["PATH"], "CEPH_CONF": str(folder / "ceph.conf")}
    return Kept("store", words, environment, folder / "log" / "gateway.log"), variables


def stop_gateway(folder: Path) -> None:
    """End monitor and disk of Ceph."""
    subprocess.run([REPOSITORY / "infra" / "rgw-up", "--stop", folder], check=False, timeout=120)


def airflow_services(environment: Mapping[str, str], logs: Path) -> list[Kept]:
    """The three processes of Airflow."""
    port = environment["AIRFLOW__API__PORT"]
    commands = {
        "api-server": ["api-server", "--host", "127.0.0.1", "--port", port, "--workers", "1"],
        "scheduler": ["scheduler", "--skip-serve-logs"],
        "dag-processor": ["dag-processor"],
    }
    return [
        Kept(name, [sys.executable, "-m", "airflow", *words], environment, logs / f"{name}.log")
        for name, words in commands.items()
    ]


def run_airflow(environment: Mapping[str, str], log: Path, *words: str, tries: int = 1) -> None:
    """One command of Airflow's own, tried again where its database or server is away just now."""
    for number in range(tries):
        with log.open("ab") as sink:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", *words], env=dict(environment), cwd=REPOSITORY, stdout=sink, stderr=sink,
                stdin=subprocess.DEVNULL, check=False, timeout=300,
            )  # fmt: skip
        if done.returncode == 0:
            return
        if number + 1 < tries:
            time.sleep(2)
    raise SystemExit(f"airflow {' '.join(words)} failed; see {log}")
