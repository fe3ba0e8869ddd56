"""Stage and run date as fields of every line that a task logs, so that a collector need not read them out of words."""

import contextvars
from collections.abc import Callable
from threading import Thread
from typing import Any

from structlog.contextvars import bind_contextvars


def name_lines(stage: str, run_date: str) -> None:
    """From here on, in this task."""
    bind_contextvars(stage=stage, run_date=str(run_date))


def listening_thread(target: Callable[..., None], *arguments: Any) -> Thread:
    """A thread, not started yet, whose lines have the same fields (a new thread knows none by itself)."""
    return Thread(target=contextvars.copy_context().run, args=(target, *arguments), daemon=True)
