"""What a stage's exit code and closing line mean to Airflow. Knows nothing of how the stage was started."""

import json
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from icg_dags.metrics import tell_end, tell_refused
from icg_tasks.contracts.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_REFUSED, EXIT_USAGE


def check_exit_code(stage: str, run_date: str, code: int, last_words: str) -> None:
    """Nothing for exit code 0. ``last_words`` are the ends of what the stage said.

    Raises:
        AirflowFailException: a gate refused (3) or the command line is wrong (2): trying again changes nothing.
        AirflowException: interrupted (75) or failed: Airflow tries again, and the stage goes on from what it saved.
    """
    if code == EXIT_DONE:
        return
    if code == EXIT_REFUSED:
        tell_refused(stage)
        raise AirflowFailException(f"the gate of {stage} refused {run_date}; this is not retried. {last_words}")
    if code == EXIT_USAGE:
        raise AirflowFailException(f"{stage} does not understand its settings; this is not retried. {last_words}")
    if code == EXIT_INTERRUPTED:
        raise AirflowException(f"{stage} for {run_date} was interrupted and saved its work; the next try goes on from there")
    raise AirflowException(f"{stage} for {run_date} failed with exit code {code}. {last_words}")


def closed(stage: str, lines: list[str]) -> dict[str, Any]:
    """The closing line of a stage that has ended well, told to whoever watches; raises like ``closing_line``."""
    line = closing_line(stage, lines)
    tell_end(line)
    return line


def closing_line(stage: str, lines: list[str]) -> dict[str, Any]:
    """The stage's closing JSON line among these lines (the last one that is such a line).

    Raises:
        AirflowException: there is none.
    """
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("stage") == stage and "outputs" in found:  # no progress line (ICG_LOG_FORMAT)
            return found
    raise AirflowException(f"{stage} ended well but without its closing JSON line on stdout; is the right `icg` on PATH?")
