"""Child processes that are stopped for certain: by pid, with everything they started, also after Ctrl-C or a failure."""

import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from infra.demo.options import REPOSITORY, DemoFailed

STOP_SECONDS = 25  # a stage may take 20 s to save its work
_FORBIDDEN_PORT = 8080  # Airflow's tasks take this one for granted when no base URL reaches them


def free_ports(number: int) -> list[int]:
    """That many distinct loopback ports nobody listens on right now."""
    listeners = [socket.socket() for _ in range(number + 1)]
    try:
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        found = [int(listener.getsockname()[1]) for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
    return [port for port in found if port != _FORBIDDEN_PORT][:number]


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log file; empty where there is none."""
    if not path.is_file():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


class Service:
    """A long-lived child in a session of its own (Ctrl-C reaches the demo alone), its output in a log file."""

    def __init__(self, name: str, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                list(words), env=dict(environment), cwd=REPOSITORY, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def check(self) -> None:
        """Raises DemoFailed if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise DemoFailed(
                f"{self.name} ended by itself with exit code {code}:\n{tail(self.log)}", f"all it said: {self.log}"
            )


def stop(services: Sequence[Service], seconds: float = STOP_SECONDS) -> list[int]:
    """SIGTERM to each service, then to what it left behind; SIGKILL after ``seconds``. The pids that had to be killed."""
    families = []
    for service in services:
        try:
            families += [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    for service in services:
        if service.process.poll() is None:
            service.process.terminate()
    deadline = time.monotonic() + seconds
    for service in services:
        try:
            service.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue
    left = [process for process in families if _is_alive(process)]
    for process in left:
        _signal(process.terminate)
    _, stubborn = psutil.wait_procs(left, timeout=max(3.0, deadline - time.monotonic()))
    for process in stubborn:
        _signal(process.kill)
    psutil.wait_procs(stubborn, timeout=5)
    return [process.pid for process in stubborn]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(send: object) -> None:
    try:
        send()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return


def run_logged(
    name: str, words: Sequence[str], environment: Mapping[str, str], log: Path, advice: str = "", timeout_seconds: float = 3600
) -> str:
    """Run a command to its end; its stdout. Its stderr goes to the log. Raises DemoFailed with the log's tail."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        done = subprocess.run(
            list(words), env=dict(environment), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=sink, stdin=subprocess.DEVNULL,
            check=False, timeout=timeout_seconds,
        )  # fmt: skip
    text = done.stdout.decode(errors="replace")
    with log.open("a") as sink_text:
        sink_text.write(text)
    if done.returncode != 0:
        raise DemoFailed(f"{name} failed with exit code {done.returncode}:\n{tail(log)}", advice or f"all it said: {log}")
    return text
