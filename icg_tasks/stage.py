"""What every stage's ``run`` is given: run date, settings, store, scratch folder, extra arguments, progress, stop sign.

Stands just above config and lake. A stage module has one entry ``def run(context: StageContext) -> StageOutcome``.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import Interrupted
from icg_tasks.lake.store import ObjectStore


@dataclass
class StopSign:
    """Set by SIGTERM or SIGINT. A long stage looks at it between steps, saves within 20 s, and raises Interrupted."""

    raised: bool = False

    def install(self) -> None:
        """Catch SIGTERM and SIGINT from now on (main thread only)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._catch)

    def check(self, saved: str = "nothing needed saving") -> None:
        """Raise Interrupted if a stop was asked for; call it after saving."""
        if self.raised:
            raise Interrupted(f"asked to stop; {saved}; run the same command again to go on")

    def _catch(self, number: int, _frame: FrameType | None) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True
        print(f"stopping at the next safe point (signal {number})", file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class StageContext:
    """One run of one stage."""

    stage: str
    run_date: date
    settings: Settings
    store: ObjectStore
    arguments: Mapping[str, Any] = field(default_factory=dict)  # extra command line arguments, e.g. shard
    stop: StopSign = field(default_factory=StopSign)
    started: float = field(default_factory=time.monotonic)

    def scratch(self, name: str = "") -> Path:
        """A local folder of this stage and date that survives a kill (for resuming); created."""
        folder = Path(self.settings.work_folder) / self.stage / self.run_date.isoformat() / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def say(self, message: str) -> None:
        """One progress line on stderr, with the seconds since the start; a JSON object with ``ICG_LOG_FORMAT=json``."""
        seconds = time.monotonic() - self.started
        line = f"[{self.stage} {self.run_date} {seconds:6.1f}s] {message}"
        if os.environ.get("ICG_LOG_FORMAT") == "json":
            fields = {"stage": self.stage, "run_date": str(self.run_date), "seconds": round(seconds, 3), "message": message}
            line = json.dumps(fields, ensure_ascii=False)
        print(line, file=sys.stderr, flush=True)
