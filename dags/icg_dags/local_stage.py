"""Runs a stage as a process of the worker: what `ICG_EXECUTION=local` (the default) means."""

import os
import subprocess
from collections import deque
from typing import IO, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from icg_dags.lineage import TellsLineage
from icg_dags.log_fields import listening_thread, name_lines
from icg_dags.outcome import check_exit_code, closed
from icg_dags.parts import skip_unless_wanted
from icg_dags.words import stage_words

STOP_SECONDS = 20  # what a stage may take to save its work (contract of every stage)
LAST_WORDS = 4  # lines of stderr that a failure message repeats


def stage_environment(settings: str) -> dict[str, str]:
    """The worker's environment without Airflow's own (its secrets are no stage's business), plus this run's settings."""
    own = ("AIRFLOW_", "_AIRFLOW", "SUPERVISOR", "OPENLINEAGE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment["ICG_SET"] = f"{os.environ.get('ICG_SET', '')} {settings}".strip()
    return environment


class StageOperator(TellsLineage, BaseOperator):
    """`icg <stage> --run-date … --profile … [words]` as a child process; skipped where the run wants another part of a day.

    The stage's stderr goes to the task's log as it comes, its closing JSON line becomes the XCom. A killed task forwards
    SIGTERM and waits up to 20 s, so that the stage can save its work. All but ``stage`` are templates.
    """

    template_fields = ("run_date", "profile", "settings", "only", "shard")
    ui_color = "#dfeaf2"

    def __init__(
        self,
        *,
        stage: str,
        run_date: str,
        profile: str,
        settings: str = "",
        only: str = "",
        shard: int | None = None,
        words: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.stage = stage
        self.run_date = run_date
        self.profile = profile
        self.settings = settings
        self.only = only
        self.shard = shard
        self.words = words
        self._process: subprocess.Popen[str] | None = None

    def command(self) -> list[str]:
        """The words of the command."""
        return ["icg", self.stage, *stage_words(self.run_date, self.profile, shard=self.shard, more=self.words)]

    def execute(self, context: Any) -> dict[str, Any]:
        """Run it to its end; the closing line."""
        name_lines(self.stage, self.run_date)
        skip_unless_wanted(self.stage, self.only)
        self.log.info("%s", " ".join(self.command()))
        try:
            process = subprocess.Popen(
                self.command(),
                env=stage_environment(self.settings),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except FileNotFoundError:
            raise AirflowFailException("no `icg` on the worker's PATH; install icg-covers there or set PATH") from None
        self._process = process
        last_words: deque[str] = deque(maxlen=LAST_WORDS)
        listener = listening_thread(self._listen, process.stderr, last_words)
        listener.start()
        lines = [line.rstrip("\n") for line in process.stdout or ()]
        code = process.wait()
        listener.join(timeout=STOP_SECONDS)
        check_exit_code(self.stage, str(self.run_date), code, " | ".join(last_words))
        self.closing = closed(self.stage, lines)
        return self.closing

    def on_kill(self) -> None:
        """SIGTERM, 20 s to save, SIGKILL."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.log.warning("%s did not stop within %d s of SIGTERM; killing it", self.stage, STOP_SECONDS)
            process.kill()

    def _listen(self, pipe: IO[str], last_words: deque[str]) -> None:
        for line in pipe:
            text = line.rstrip()
            if text:
                last_words.append(text)
                self.log.info("%s", text)
