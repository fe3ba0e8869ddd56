"""Work in batches of one shape, the last one filled up, halved where memory runs out.

A processor may round a row differently with another batch shape; under one shape a row's bytes do not depend on how many others
were asked for. Knows tensors; no model. Legend: N rows of all work, B rows of a batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from icg_tasks.contracts.errors import DataMissing

_NO_HOST_MEMORY = "DefaultCPUAllocator"


class FixedBatches:
    """Remembers how large a batch this device can hold."""

    def __init__(self, size: int, said: Callable[[str], None] | None = None) -> None:
        self.size, self._said = size, said

    def run(self, make: Callable[[Tensor], Tensor], count: int) -> Tensor:
        """``make(rows_B)`` for all of N rows; its results [N, ...] in order.

        ``rows_B`` are row numbers (int64, CPU), always ``size`` of them: behind the last one it is repeated, and what comes of
        the repetitions is dropped. A batch that does not fit into memory is cut in half, from then on; rows may then be rounded
        otherwise, since the shape is another.

        Raises:
            DataMissing: not even a single row fits into memory.
        """
        done: list[Tensor] = []
        start = 0
        while start < count:
            rows = torch.arange(start, start + self.size).clamp(max=count - 1)
            try:
                made = make(rows)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not isinstance(error, torch.OutOfMemoryError) and _NO_HOST_MEMORY not in str(error):
                    raise
                self._halve(error)
                continue
            done.append(made[: count - start])
            start += self.size
        return torch.cat(done)

    def _halve(self, error: RuntimeError) -> None:
        if self.size == 1:
            raise DataMissing(
                f"a batch of one image does not fit into memory ({str(error).splitlines()[0]}); lower covers.size_pixels or "
                "use a device with more of it"
            ) from error
        self.size = max(1, self.size // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self._said is not None:
            self._said(f"out of memory: batches of {self.size} images from now on")
