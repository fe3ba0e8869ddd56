"""What a person sees while the day runs: a line per stage on a terminal, a line per change anywhere else."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from icg_tasks.contracts.stages import ALL_IN_ORDER
from infra.demo.airflow import TaskState

_LOOKS = {
    "success": ("✔", "green"),
    "running": ("▶", "cyan"),
    "failed": ("✘", "red"),
    "upstream_failed": ("–", "red"),
    "up_for_retry": ("↻", "yellow"),
    "skipped": ("–", "dim"),
}


class Progress:
    """Shows task states; use as a context manager and call ``show`` as often as you like."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._started = time.monotonic()
        self._said: dict[str, str] = {}

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, tasks: Sequence[TaskState]) -> None:
        """Show where every stage stands."""
        known = {task.stage for task in tasks}
        rows = [(s, *summarised([task for task in tasks if task.stage == s])) for s in ALL_IN_ORDER if s in known]
        if self._live is not None:
            self._live.update(self._table(rows))
            return
        for stage, state, words in rows:
            if (
                state not in {"waiting", "scheduled", "queued"}
                and self._said.get(stage) != f"{state} {words.partition(' s')[0]}"
            ):
                if self._said.get(stage, "").partition(" ")[0] != state:
                    minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
                    self._console.print(
                        f"  {minutes:2d}:{seconds:02d}  {_LOOKS.get(state, ('·', ''))[0]} {stage:22s} {state} {words}"
                    )
                self._said[stage] = f"{state} {words.partition(' s')[0]}"

    def _table(self, rows: Sequence[tuple[str, str, str]]) -> Table:
        table = Table.grid(padding=(0, 2))
        for stage, state, words in rows:
            mark, colour = _LOOKS.get(state, ("·", "dim"))
            table.add_row(f"[{colour}]{mark}[/]", stage, f"[{colour}]{state}[/]", words)
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        table.add_row("", "", "", f"[dim]{minutes}:{seconds:02d}[/]")
        return table


def summarised(tasks: Sequence[TaskState]) -> tuple[str, str]:
    """State and words of one stage's task instances: the worst or busiest state of a mapped stage, how many are done, seconds.

    >>> done = TaskState(task_id="covers.generate-covers", map_index=0, state="success", seconds=3.0, tries=1)
    >>> summarised([done, TaskState(task_id="covers.generate-covers", map_index=1, state="running", seconds=None, tries=1)])
    ('running', '1 of 2 shards')
    """
    if not tasks:
        return "waiting", ""
    for state in ("failed", "up_for_retry", "running", "upstream_failed", "queued", "scheduled", "waiting"):
        if any(task.state == state for task in tasks):
            break
    else:
        state = tasks[0].state
    words = []
    if any(task.map_index >= 0 for task in tasks) and len(tasks) > 1:
        words.append(f"{sum(task.state == 'success' for task in tasks)} of {len(tasks)} shards")
    seconds = sum(task.seconds or 0.0 for task in tasks)
    if seconds and state != "running":
        words.append(f"{seconds:.0f} s")
    if max(task.tries for task in tasks) > 1:
        words.append(f"try {max(task.tries for task in tasks)}")
    return state, ", ".join(words)
