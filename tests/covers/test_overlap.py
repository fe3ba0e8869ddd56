"""Running ahead in a thread: order, bounds, errors carried over, and nothing left running."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from icg_tasks.covers.overlap import ahead


def threads() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


def test_order_and_the_bound() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            asked.append(number)
            yield number

    taken = []
    for number in ahead(items(), depth=2):
        taken.append(number)
        assert max(asked) <= number + 4  # two wait, one is being put, one is being made
    assert taken == list(range(20))
    assert threads() == 0


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise MemoryError("full")

    chain = ahead(items())
    assert [next(chain), next(chain)] == [1, 2]
    with pytest.raises(MemoryError, match="full"):
        next(chain)
    assert threads() == 0


def test_a_taker_that_stops_early_closes_everything_behind_it() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    chain = ahead(number for number in ahead(items()))
    with closing(chain):
        assert next(chain) == 1
    assert threads() == 0
    assert closed.wait(1)


def test_two_steps_really_overlap() -> None:
    first, second = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        first.set()  # while the taker still holds the first item
        assert second.wait(10)
        yield 2

    chain = ahead(items())
    assert next(chain) == 1
    assert first.wait(10)
    second.set()
    assert list(chain) == [2]


def test_what_is_begun_is_begun_in_the_thread() -> None:
    where: list[threading.Thread] = []
    assert list(ahead(iter([1]), begin=lambda: where.append(threading.current_thread()))) == [1]
    assert where[0] is not threading.current_thread()
