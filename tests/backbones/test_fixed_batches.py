"""Batches of one shape: what is asked, what comes back, and what happens where memory runs out."""

import pytest
import torch

from icg_tasks.backbones.fixed_batches import FixedBatches
from icg_tasks.contracts.errors import DataMissing


def test_every_batch_has_one_shape_and_repetitions_are_dropped() -> None:
    asked: list[list[int]] = []

    def make(rows: torch.Tensor) -> torch.Tensor:
        asked.append(rows.tolist())
        return rows * 10

    assert FixedBatches(4).run(make, 6).tolist() == [0, 10, 20, 30, 40, 50]
    assert asked == [[0, 1, 2, 3], [4, 5, 5, 5]]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: no")])
def test_out_of_memory_halves_the_batch_for_good(error: RuntimeError) -> None:
    asked: list[int] = []
    said: list[str] = []

    def make(rows: torch.Tensor) -> torch.Tensor:
        asked.append(len(rows))
        if len(rows) > 3:
            raise error
        return rows

    batches = FixedBatches(8, said.append)
    assert batches.run(make, 5).tolist() == [0, 1, 2, 3, 4]
    assert batches.run(make, 2).tolist() == [0, 1]
    assert asked == [8, 4, 2, 2, 2, 2]
    assert said == [f"out of memory: batches of {size} images from now on" for size in (4, 2)]


def test_one_that_does_not_fit_alone_says_what_to_do() -> None:
    def make(rows: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with pytest.raises(DataMissing, match=r"Tried to allocate 2 GiB.*size_pixels"):
        FixedBatches(4).run(make, 3)


def test_other_errors_are_not_swallowed() -> None:
    def make(rows: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        FixedBatches(4).run(make, 3)
