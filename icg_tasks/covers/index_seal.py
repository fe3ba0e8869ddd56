"""The seal of an index: hashes of its blocks, kept at its end, and the hash of those, kept in the manifest.

So a block is checked when it is first looked at, a hundred microseconds each, and nothing unchecked is ever answered
from, while opening costs the same for any number of rows. Standard library alone; knows bytes, not what they mean.
"""

import hashlib
import mmap
from collections.abc import Iterable
from pathlib import Path

from icg_tasks.contracts.errors import DataCorrupt

BLOCK_BITS = 16
BLOCK_BYTES = 1 << BLOCK_BITS
HASH_BYTES = 32


def block_hashes(pieces: Iterable[bytes]) -> bytes:
    """SHA-256 of each block of the bytes that these pieces make up, one after the other.

    >>> len(block_hashes([bytes(BLOCK_BYTES), b"x"])) // HASH_BYTES
    2
    """
    found, digest, room = [], hashlib.sha256(), BLOCK_BYTES
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            part, rest = rest[:room], rest[room:]
            digest.update(part)
            room -= len(part)
            if not room:
                found.append(digest.digest())
                digest, room = hashlib.sha256(), BLOCK_BYTES
    if room < BLOCK_BYTES:
        found.append(digest.digest())
    return b"".join(found)


class Seal:
    """Which blocks of a mapped file have been checked; safe to share between threads (a block may be checked twice)."""

    def __init__(self, data: mmap.mmap, path: Path, start: int, wanted: str) -> None:
        """``start``: where the hashes begin; ``wanted``: the hash of all of them. Raises DataCorrupt where it is another."""
        self._data, self._path, self._start = data, path, start
        self._hashes = data[start:]
        if hashlib.sha256(self._hashes).hexdigest() != wanted or len(self._hashes) != HASH_BYTES * self.blocks:
            raise DataCorrupt(f"{path}: the hashes of its blocks are not those of the manifest; publish that date again")
        self.checked = bytearray(self.blocks)

    @property
    def blocks(self) -> int:
        """How many there are."""
        return -(-self._start // BLOCK_BYTES)

    def check(self, first: int, last: int) -> None:
        """The blocks that hold the bytes from first to last, inclusive; raises DataCorrupt."""
        for block in range(first >> BLOCK_BITS, (last >> BLOCK_BITS) + 1):
            if not self.checked[block]:
                begin = block << BLOCK_BITS
                found = hashlib.sha256(self._data[begin : min(begin + BLOCK_BYTES, self._start)]).digest()
                if found != self._hashes[HASH_BYTES * block : HASH_BYTES * (block + 1)]:
                    raise DataCorrupt(f"{self._path} is damaged in block {block}; delete it, publish that date again")
                self.checked[block] = 1

    def check_all(self) -> None:
        """Every block, read ahead where the system can; raises DataCorrupt."""
        if hasattr(mmap, "MADV_SEQUENTIAL"):
            self._data.madvise(mmap.MADV_SEQUENTIAL)
        self.check(0, self._start - 1)
        if hasattr(mmap, "MADV_NORMAL"):
            self._data.madvise(mmap.MADV_NORMAL)
