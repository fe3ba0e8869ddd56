"""Many small writes to a store at once: a bounded pool of threads over one client, which is safe to share.

Keys are independent of each other; who writes must not read them before ``wait``. Knows bytes and keys, not what they mean.
"""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from icg_tasks.lake.store import ObjectStore

WRITERS = 16


class Uploads:
    """``put`` returns at once while fewer than ``pending`` writes wait; the first that fails is raised by what comes next.

    with Uploads(store) as uploads:
        uploads.put("a", b"1")
    # all of it is written here, or an exception was raised
    """

    def __init__(self, store: ObjectStore, writers: int = WRITERS, pending: int = 4 * WRITERS) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(writers, thread_name_prefix="icg-upload")
        self._room = threading.Semaphore(pending)  # so that no more than this is held in memory
        self._running: set[Future[None]] = set()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def __enter__(self) -> "Uploads":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=kind is not None)

    def put(self, key: str, data: bytes) -> None:
        """Write some time before ``wait`` returns. Raises what an earlier write raised: nothing more is begun then."""
        self._raise_failure()
        self._room.acquire()
        future = self._pool.submit(self._store.put, key, data)
        with self._lock:
            self._running.add(future)
        future.add_done_callback(self._done)

    def wait(self) -> None:
        """Return when all is written; raises what the first failing write raised, the others being finished all the same."""
        while True:
            with self._lock:
                running = list(self._running)
            if not running:
                break
            for future in running:
                future.exception()
        self._raise_failure()

    def _done(self, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        with self._lock:
            self._failure = self._failure or error
            self._running.discard(future)
        self._room.release()

    def _raise_failure(self) -> None:
        with self._lock:
            failure = self._failure
        if failure is not None:
            raise failure
