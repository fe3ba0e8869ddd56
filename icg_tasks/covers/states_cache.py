"""What a generator's language model said of items, kept in the store across segments, workers and days: a small file per item.

Named by everything it depends on, so it is never stale; a file that is damaged or of another shape is no file. Knows tensors
and keys; no model. Legend: K meta tokens, D language width.
"""

from collections.abc import Callable

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor

from icg_tasks.contracts.partitions import COVER_STATES
from icg_tasks.lake.store import ObjectStore

_NAME = "states"


class StatesCache:
    """States of one model's meta tokens, by item content."""

    def __init__(self, store: ObjectStore, model: str) -> None:
        """``model`` names language model, meta tokens and precision."""
        self._store, self._prefix = store, f"{COVER_STATES}/{model}"

    def states(self, content: str, make: Callable[[], Tensor], shape: tuple[int, ...]) -> Tensor:
        """The kept states [1, K, D] on the CPU, else ``make()``'s, kept from now on (float32, bit by bit).

        ``content``: hex digest of title and image.
        """
        key = f"{self._prefix}/{content[:2]}/{content}.safetensors"
        kept = self._read(key, shape)
        if kept is not None:
            return kept
        made = make().detach().float().cpu().contiguous()
        if bool(torch.isfinite(made).all()):
            self._store.put(key, bytes_of({_NAME: made}))
        return made

    def _read(self, key: str, shape: tuple[int, ...]) -> Tensor | None:
        found = self._store.get_with_etag(key)
        if found is None:
            return None
        try:
            states = tensors_of(found[0]).get(_NAME)
        except SafetensorError:
            return None  # made anew, and written over
        sound = states is not None and states.dtype == torch.float32 and tuple(states.shape) == shape
        return states if sound and bool(torch.isfinite(states).all()) else None


def prune_states(store: ObjectStore, most_bytes: int) -> int:
    """Delete the files written longest ago until at most ``most_bytes`` are left; how many went. A reader misses, no more."""
    entries = sorted(store.entries(f"{COVER_STATES}/"), key=lambda entry: (-entry.modified, entry.key))
    total, gone = 0, 0
    for entry in entries:
        total += entry.size
        if total > most_bytes:
            store.delete(entry.key)
            gone += 1
    return gone
