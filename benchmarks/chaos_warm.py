"""Stages without their imports: a warm process forks one for every call of a stand-in for ``icg``, which starts at once.

The stand-in hands over its words, environment and outputs, passes SIGTERM on, and ends as the stage ends; when it is
killed, so is the stage. Run by benchmarks: ``python -m benchmarks.chaos_warm SOCKET MODULES.json`` (names of what to import
beforehand).
"""

import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from infra.demo.options import REPOSITORY

_MOST_BYTES = 2**20
_LOOK_SECONDS = 0.05
_LEFT_OUT = ("airflow", "pyspark", "py4j", "benchmarks", "tests", "pytest", "_pytest", "__main__", "moto", "tkinter")

STAND_IN = """#!{python} -SE
import json, os, signal, socket, sys
warm = socket.socket(socket.AF_UNIX)
warm.connect({path!r})
signal.signal(signal.SIGTERM, lambda *_: warm.send(b"T"))
body = json.dumps({{"words": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}}).encode()
socket.send_fds(warm, [len(body).to_bytes(4, "big")], [1, 2])
warm.sendall(body)
answer = warm.recv(4)
sys.exit(int.from_bytes(answer, "big", signed=True) if answer else 1)
"""


def make_stand_in(folder: Path, path: Path) -> None:
    """``icg`` in this folder, which asks the warm process behind that socket."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "icg"
    script.write_text(STAND_IN.format(python=sys.executable, path=str(path)))
    script.chmod(0o755)


def warm_modules() -> list[str]:
    """What this process has imported and a stage may need."""
    return sorted(name for name in sys.modules if not name.startswith(_LEFT_OUT))


def _import_all(names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _live(request: dict[str, Any], outputs: list[int]) -> None:
    """In the fork: become the stage, and never come back."""
    from icg_tasks.cli import main

    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(outputs[0], 1)
        os.dup2(outputs[1], 2)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        code = main(request["words"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class Warm:
    """Listens, forks, tells the end. One thread, so that forks are whole."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._stages: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """For ever."""
        while True:
            with selectors.DefaultSelector() as selector:
                selector.register(self._listener, selectors.EVENT_READ)
                for pid, caller in self._stages.items():
                    selector.register(caller, selectors.EVENT_READ, pid)
                for key, _ in selector.select(_LOOK_SECONDS):
                    if key.data is None:
                        self._begin()
                    else:
                        self._pass_on(key.data)
            self._reap()

    def _begin(self) -> None:
        caller, _ = self._listener.accept()
        head, outputs, _, _ = socket.recv_fds(caller, 4, 2)
        body = b""
        while len(body) < int.from_bytes(head, "big"):
            body += caller.recv(_MOST_BYTES)
        pid = os.fork()
        if pid == 0:
            self._listener.close()
            for other in (caller, *self._stages.values()):
                other.close()
            _live(json.loads(body), outputs)
        for output in outputs:
            os.close(output)
        self._stages[pid] = caller

    def _pass_on(self, pid: int) -> None:
        try:
            word = self._stages[pid].recv(1)
        except OSError:
            word = b""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if word else signal.SIGKILL)
        if not word:  # the caller is gone
            os.waitpid(pid, 0)
            self._stages.pop(pid).close()

    def _reap(self) -> None:
        for pid in list(self._stages):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                caller = self._stages.pop(pid)
                with contextlib.suppress(OSError):
                    caller.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
                caller.close()


def main() -> None:
    """Import, listen."""
    path, modules = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(REPOSITORY))
    _import_all(json.loads(modules.read_text()))
    Warm(path).serve()


if __name__ == "__main__":
    main()
