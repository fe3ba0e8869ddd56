"""Peak memory of this process and everything below it, sampled. Proportional set size where the kernel tells it, so that pages
shared by forked processes count once."""

from pathlib import Path
from threading import Event, Thread

import psutil


class MemoryWatch:
    """Samples until closed; ``peak_bytes`` is the largest sum seen."""

    def __init__(self, every_seconds: float = 2.0) -> None:
        self.peak_bytes = 0
        self._every_seconds = every_seconds
        self._closed = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> int:
        """Stop sampling; the peak in bytes."""
        self._closed.set()
        self._thread.join(timeout=10)
        return self.peak_bytes

    def _watch(self) -> None:
        here = psutil.Process()
        while not self._closed.wait(self._every_seconds):
            processes = [here, *here.children(recursive=True)]
            self.peak_bytes = max(self.peak_bytes, sum(memory_bytes(process) for process in processes))


def memory_bytes(process: psutil.Process) -> int:
    """Proportional (Linux) or resident memory of one process; 0 if it is gone."""
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
