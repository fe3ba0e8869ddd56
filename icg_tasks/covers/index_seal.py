"""The seal of an index: hashes of its blocks, kept at its end, and the hash of those, kept in the manifest.

So a block is checked when it is first looked at, a few microseconds each, and nothing unchecked is ever answered from, while
opening 10 million rows reads 5 MB. Standard library alone; knows bytes, not what they mean.
"""

import hashlib
import mmap
from pathlib import Path

from icg_tasks.contracts.errors import DataCorrupt

BLOCK_BITS = 12
"""Blocks are 4 KiB, a page of memory: what a look-up must check of a fresh index stays below ten microseconds."""
FORMER_BLOCK_BITS = 16
"""Of an index whose header does not say."""
HASH_BYTES = 32


def block_hashes(data: bytes | mmap.mmap, bits: int) -> bytes:
    """SHA-256 of each block of the data, one after the other.

    >>> len(block_hashes(bytes(4096) + b"x", 12)) // HASH_BYTES
    2
    """
    with memoryview(data) as view:
        size = 1 << bits
        return b"".join([hashlib.sha256(view[start : start + size]).digest() for start in range(0, len(view), size)])


class Seal:
    """Which blocks of a mapped file have been checked; safe to share between threads (a block may be checked twice)."""

    def __init__(self, data: mmap.mmap, path: Path, start: int, wanted: str, bits: int) -> None:
        """``start``: where the hashes begin; ``wanted``: the hash of all of them; a block has 2^``bits`` bytes.

        Raises DataCorrupt where the hash is another.
        """
        self._data, self._path, self._start, self.bits = data, path, start, bits
        self._hashes = data[start:]
        blocks = -(-start >> bits)
        if hashlib.sha256(self._hashes).hexdigest() != wanted or len(self._hashes) != HASH_BYTES * blocks:
            raise DataCorrupt(f"{path}: the hashes of its blocks are not those of the manifest; publish that date again")
        self.checked = bytearray(blocks)

    def check(self, first: int, last: int) -> None:
        """The blocks that hold the bytes from first to last, inclusive; raises DataCorrupt."""
        bits = self.bits
        for block in range(first >> bits, (last >> bits) + 1):
            if not self.checked[block]:
                found = hashlib.sha256(self._data[block << bits : min((block + 1) << bits, self._start)]).digest()
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
