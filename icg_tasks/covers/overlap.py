"""Runs an iterator in a thread of its own, a few results ahead of whoever takes them. Knows nothing of covers.

Chained, such threads are a pipeline: one prepares the next batch while another draws this one and a third stores the last one.
"""

import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class _Failed:
    error: BaseException


class _End:
    pass


def ahead(items: Iterable[T], depth: int = 1, begin: Callable[[], None] | None = None) -> Generator[T, None, None]:
    """The items in order, computed in a thread that runs at most ``depth`` items ahead.

    Whatever the items' iterator raises is raised here, after the items before it. Where the taker stops early, the thread is
    told so and waited for, and the iterator is closed. ``begin`` is called in the thread before anything else.

    >>> list(ahead(iter([1, 2, 3])))
    [1, 2, 3]
    """
    worker = _Worker(items, depth, begin)
    worker.thread.start()
    try:
        while True:
            got = worker.queue.get()
            if isinstance(got, _End):
                return
            if isinstance(got, _Failed):
                raise got.error
            yield got
    finally:
        worker.stop()


class _Worker(Generic[T]):
    def __init__(self, items: Iterable[T], depth: int, begin: Callable[[], None] | None) -> None:
        self.queue: Queue[T | _Failed | _End] = Queue(maxsize=depth)
        self.thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._items, self._begin, self._stopped = items, begin, threading.Event()

    def stop(self) -> None:
        """Returns when the thread is gone."""
        self._stopped.set()
        while self.thread.is_alive():
            try:
                self.queue.get(timeout=_LOOK_SECONDS)
            except Empty:
                continue

    def _run(self) -> None:
        last: _Failed | _End = _End()
        try:
            if self._begin is not None:
                self._begin()
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # raised again where the items are taken
            last = _Failed(error)
        close = getattr(self._items, "close", None)
        if close is not None:
            close()
        self._put(last)

    def _put(self, item: "T | _Failed | _End") -> bool:
        """False where nobody wants it any more."""
        while not self._stopped.is_set():
            try:
                self.queue.put(item, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False
