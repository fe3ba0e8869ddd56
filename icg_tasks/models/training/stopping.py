"""How a training ends early: saved, and in all its processes at the same step. Knows stages and processes."""

from collections.abc import Callable

from icg_tasks.contracts.errors import Interrupted
from icg_tasks.models.training.processes import Processes
from icg_tasks.stage import StageContext


def stopper(context: StageContext, processes: Processes) -> Callable[[Callable[[], None]], None]:
    """Called between steps with what saves: saves and raises Interrupted where a stop is asked for in any process."""

    def stop(save: Callable[[], None]) -> None:
        if processes.any(context.stop.raised):
            save()
            context.stop.check("the training so far is saved")
            raise Interrupted("another process was asked to stop; the training so far is saved; run the same command again")

    return stop


def silence(_line: str) -> None:
    """What other processes than the main one say."""
