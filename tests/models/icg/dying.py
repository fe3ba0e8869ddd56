"""Trains on what a folder holds and dies on purpose: ``python -m tests.models.icg.dying FOLDER PLAN``, PLAN a JSON file.

Imports once and forks for every life, so that each life has a memory of its own and a signal really ends it. PLAN lists lives:
{"store": name, "set": [...], "signal": 9 | 15 | 0, "looks": how often the stop sign is looked at before, "renames": instead
of looks, how many renames of a checkpoint's folder}. Prints one JSON list: how each life
ended (exit code, or minus the signal).
"""

import json
import os
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from icg_tasks.contracts.errors import GateRefused, IcgError
from icg_tasks.models.icg.train_adapter import run
from icg_tasks.stage import StopSign
from tests.models.icg.planting import opened


class Fate(StopSign):
    """A real signal to this process, at a look at the stop sign."""

    def __init__(self, looks: int, number: int) -> None:
        self.looks, self.number, self.caught = looks, number, False

    @property
    def raised(self) -> bool:
        self.looks -= 1
        if self.looks == 0 and self.number:
            os.kill(os.getpid(), self.number)
        return self.caught

    @raised.setter
    def raised(self, value: bool) -> None:
        self.caught = value


def die_in_rename(count: int) -> None:
    """A kill right after so many renames of whole folders: in the middle of replacing a checkpoint."""
    rename, left = Path.rename, [count]

    def deadly(self: Path, target: Path) -> Path:
        found = rename(self, target)
        left[0] -= self.name.startswith("checkpoint")
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    Path.rename = deadly  # type: ignore[method-assign]


def live(folder: Path, plan: dict[str, Any]) -> int:
    fate = Fate(plan.get("looks", 0), plan.get("signal", 0))
    fate.install()
    if "renames" in plan:
        die_in_rename(plan["renames"])
    try:
        run(replace(opened(folder / plan["store"], *plan["set"]), stop=fate))
    except GateRefused:
        return 0  # what it published counts here
    except IcgError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def main(folder: Path, plans: list[dict[str, Any]]) -> None:
    ends = []
    for plan in plans:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = live(folder, plan)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
