"""Runs a Spark stage through spark-submit, by the connection `spark_default`: local[*] or a cluster, by connection alone.

The hook is imported when a task runs: SparkSubmitOperator would bring the Kubernetes client and two seconds into every parse.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from icg_dags.lineage import TellsLineage
from icg_dags.local_stage import LAST_WORDS, stage_environment
from icg_dags.log_fields import name_lines
from icg_dags.outcome import check_exit_code, closed
from icg_dags.parts import skip_unless_wanted
from icg_dags.words import stage_words

_EXIT_CODE = re.compile(r"Error code is: (\d+)")
_KEPT_LINES = 200


class SparkStageOperator(TellsLineage, BaseOperator):
    """spark-submit of spark_jobs/<stage>.py; the stage's closing JSON line becomes the XCom. All but ``stage`` are templates.

    Where things are: ``ICG_SPARK_JOBS`` (folder or URL of the entry points; default: beside dags/), ``ICG_SPARK_CONF`` (a JSON
    object of Spark settings; a cluster's own belong into its spark-defaults.conf).
    """

    template_fields = ("run_date", "profile", "settings", "only")
    ui_color = "#f7e3cf"

    def __init__(self, *, stage: str, run_date: str, profile: str, settings: str = "", only: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.stage = stage
        self.run_date = run_date
        self.profile = profile
        self.settings = settings
        self.only = only
        self._hook: Any = None

    def application(self) -> str:
        """Address of the entry point."""
        folder = os.environ.get("ICG_SPARK_JOBS") or str(Path(__file__).resolve().parents[2] / "spark_jobs")
        return f"{folder.rstrip('/')}/{self.stage.replace('-', '_')}.py"

    def execute(self, context: Any) -> dict[str, Any]:
        """Submit, wait; the closing line."""
        name_lines(self.stage, self.run_date)
        skip_unless_wanted(self.stage, self.only)
        from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook

        class ListeningHook(SparkSubmitHook):
            """Keeps what the driver printed, which the hook only logs."""

            lines: list[str]

            def _process_spark_submit_log(self, itr: Iterator[Any]) -> None:
                super()._process_spark_submit_log(self._kept(itr))

            def _kept(self, lines: Iterable[Any]) -> Iterator[Any]:
                for line in lines:
                    self.lines = [*self.lines[-_KEPT_LINES:], str(line).strip()]
                    yield line

        self._hook = ListeningHook(
            conf=json.loads(os.environ.get("ICG_SPARK_CONF", "{}")),
            conn_id="spark_default",
            name=f"icg-{self.stage}-{self.run_date}",
            application_args=stage_words(self.run_date, self.profile),
            env_vars={"ICG_SET": stage_environment(self.settings)["ICG_SET"]},
        )
        self._hook.lines = []
        try:
            self._hook.submit(self.application())
        except AirflowException as error:
            code = _EXIT_CODE.search(str(error))
            if code is None:
                raise
            check_exit_code(self.stage, str(self.run_date), int(code[1]), " | ".join(_last_words(self._hook.lines)))
            raise
        self.closing = closed(self.stage, self._hook.lines)
        return self.closing

    def on_kill(self) -> None:
        """Let the hook end the driver."""
        if self._hook is not None:
            self._hook.on_kill()


def _last_words(lines: list[str]) -> list[str]:
    """The stage's own words, without Spark's log lines about its shutdown."""
    return [line for line in lines if line and " INFO " not in line][-LAST_WORDS:]
