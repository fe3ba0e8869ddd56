"""Writes at once: all of them are there afterwards, no more than asked for wait, and a failure is told."""

import threading
from pathlib import Path
from typing import Any

import pytest

from icg_tasks.contracts.errors import IcgError
from icg_tasks.lake.folder import FolderStore
from icg_tasks.lake.uploads import Uploads

PATIENCE = 20.0


def test_all_of_it_is_written_when_the_block_ends(store: Any) -> None:
    with Uploads(store, writers=4) as uploads:
        for number in range(50):
            uploads.put(f"many/{number:02d}", str(number).encode())
    assert [store.get(key) for key in store.list("many/")] == [str(number).encode() for number in range(50)]


class Slow(FolderStore):
    """Writes when it is let; remembers how many waited."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.let, self.begun = threading.Semaphore(0), threading.Semaphore(0)

    def put(self, key: str, data: bytes) -> None:
        self.begun.release()
        assert self.let.acquire(timeout=PATIENCE)
        if data == b"bad":
            raise IcgError(f"no room for {key}")
        super().put(key, data)


def test_no_more_wait_than_asked_for(tmp_path: Path) -> None:
    store, put = Slow(tmp_path), []

    def work() -> None:
        with Uploads(store, writers=2, pending=3) as uploads:
            for number in range(5):
                uploads.put(f"k{number}", b"x")
                put.append(number)

    writer = threading.Thread(target=work)
    writer.start()
    for _ in range(2):
        assert store.begun.acquire(timeout=PATIENCE)
    assert not store.begun.acquire(timeout=0.2), "two writers"
    assert put == [0, 1, 2], "the fourth waits for room"
    for _ in range(5):
        store.let.release()
    writer.join(PATIENCE)
    assert len(list(store.list("k"))) == len(put) == 5


def test_the_first_failure_is_raised_and_what_was_begun_is_finished(tmp_path: Path) -> None:
    store = Slow(tmp_path)
    for _ in range(100):
        store.let.release()

    def work() -> None:
        with Uploads(store, writers=1) as uploads:
            for number in range(3):
                uploads.put(f"k{number}", b"bad" if number == 1 else b"x")

    with pytest.raises(IcgError, match="no room for k1"):
        work()
    assert "k0" in list(store.list(""))


def test_whoever_leaves_by_an_exception_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()

    def work() -> None:
        with Uploads(FolderStore(tmp_path)) as uploads:
            uploads.put("a", b"1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert threading.active_count() == before
